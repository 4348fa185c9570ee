function target() {
  try {
    return document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return null; // "%" alone is no escape
  }
}

// [data-tabs] holds links to #panels. Without JavaScript all panels show under each other;
// with it they become ARIA tabs: one panel at a time, arrows move, the address keeps the choice.
export function enhanceTabs(root) {
  for (const list of root.querySelectorAll("[data-tabs]:not([role])")) {
    const tabs = [...list.querySelectorAll("a.tab[href^='#']")];
    const panel = (tab) => document.getElementById(tab.hash.slice(1));
    const select = (chosen) => {
      for (const tab of tabs) {
        const on = tab === chosen;
        tab.setAttribute("aria-selected", String(on));
        tab.tabIndex = on ? 0 : -1;
        panel(tab).hidden = !on;
      }
    };
    const choose = (tab) => {
      select(tab);
      if (list.dataset.tabs !== "inner") history.replaceState(null, "", tab.hash);
    };
    list.setAttribute("role", "tablist");
    tabs.forEach((tab, index) => {
      tab.setAttribute("role", "tab");
      tab.id ||= `tab-${tab.hash.slice(1)}`;
      tab.setAttribute("aria-controls", tab.hash.slice(1));
      panel(tab).setAttribute("role", "tabpanel");
      panel(tab).setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        choose(tab);
      });
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const next = tabs[(index + step + tabs.length) % tabs.length];
        choose(next);
        next.focus();
      });
    });
    // The address may name a panel, or a heading inside of one.
    const open = () => {
      const named = target();
      const tab = named && tabs.find((one) => panel(one)?.contains(named));
      if (!tab) return false;
      select(tab);
      if (named !== panel(tab)) named.scrollIntoView();
      return true;
    };
    if (!open()) select(tabs[0]);
    window.addEventListener("hashchange", open);
  }
}
