// On every page: HTMX, copy buttons, menus that close, tabs.
import "htmx.org";
import { enhanceTabs } from "./lib/tabs.js";
import { closeMenus } from "./lib/menus.js";
import { copyFrom } from "./lib/copy.js";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copyFrom(button);
  closeMenus(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenus(null);
});

// A form marked data-confirm asks first; one marked data-auto sends itself when a value changes.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form) form.requestSubmit();
});

// Times are UTC from the server; shown in the reader's own zone, with UTC in the title.
function localTimes(root) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = `${time.dateTime} (UTC)`;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function enhance(root) {
  enhanceTabs(root);
  localTimes(root);
}

enhance(document);
// A form that comes back begins where something is wrong: nobody has to look for it, by eye or by ear.
document.querySelector("main [aria-invalid='true']")?.focus();
document.addEventListener("htmx:afterSwap", (event) => enhance(event.target));

// Filters stand open beside a wide list and fold away above a narrow one.
const narrow = matchMedia("(max-width: 60rem)");
function foldFilters() {
  for (const filters of document.querySelectorAll("details.filter-more")) filters.open = !narrow.matches;
}
foldFilters();
narrow.addEventListener("change", foldFilters);

// On a phone the account's links are a strip: begin where the present page is.
for (const here of document.querySelectorAll(".side [aria-current]")) {
  const strip = here.parentElement;
  strip.scrollLeft = here.offsetLeft - strip.offsetLeft - (strip.clientWidth - here.offsetWidth) / 2;
}
