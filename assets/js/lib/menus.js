// Menus are <details data-menu>: a click elsewhere or Escape closes them.
export function closeMenus(target) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (target && menu.contains(target)) continue;
    const held = menu.contains(document.activeElement);
    menu.open = false;
    if (held && !target) menu.querySelector("summary").focus();
  }
}
