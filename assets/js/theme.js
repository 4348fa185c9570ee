// Runs before the first paint: puts a chosen theme on <html>; without a choice the system's holds.
const KEY = "turnpike-theme";

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // storage is off: the system's theme holds
  }
}

const chosen = stored();
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-toggle]")) return;
  const root = document.documentElement;
  const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // storage is off: the choice lasts for this page
  }
  document.dispatchEvent(new CustomEvent("themechange"));
});
