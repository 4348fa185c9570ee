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
    select(tabs.find((tab) => tab.hash === location.hash) ?? tabs[0]);
  }
}
