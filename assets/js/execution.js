// Hosted predictions: draws an output's boxes over the picture that they were found in, also after HTMX has replaced it.

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function draw(figure) {
  const image = figure.querySelector("img");
  const data = document.getElementById(figure.dataset.boxes);
  if (!image || !data || figure.querySelector("svg")) return;
  const paint = () => {
    const width = image.naturalWidth;
    const height = image.naturalHeight;
    if (!width || figure.querySelector("svg")) return;
    const line = Math.max(width, height) / 300;
    const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", preserveAspectRatio: "none" });
    for (const box of JSON.parse(data.textContent)) {
      svg.append(element("rect", { x: box.x, y: box.y, width: box.width, height: box.height, "stroke-width": line * 1.5 }));
      if (!box.label) continue;
      const text = element("text", { x: box.x + line * 2, y: Math.max(box.y - line * 2, line * 10), "font-size": line * 10 });
      text.textContent = box.score === null ? box.label : `${box.label} ${Math.round(box.score * 100)} %`;
      svg.append(text);
    }
    figure.append(svg);
  };
  if (image.complete) paint();
  else image.addEventListener("load", paint, { once: true });
}

function drawAll(root) {
  for (const figure of root.querySelectorAll("[data-boxes]")) draw(figure);
}

// A log is followed as it grows, unless its reader has scrolled up: then it stays there, also when it is replaced.
const theLog = () => document.querySelector("#build-log, #prediction-logs, #training-logs");
const isAtEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 8;
let readAt = null;

function keepPlace() {
  const log = theLog();
  readAt = log && !isAtEnd(log) ? log.scrollTop : null;
}

function followLog() {
  const log = theLog();
  if (log) log.scrollTop = readAt ?? log.scrollHeight;
}

// What is replaced again and again would be read out each time; a status is when it has changed.
let told = null;

function tellStatus() {
  const region = document.querySelector("[data-told]");
  const status = document.querySelector("[data-status]")?.textContent.trim();
  if (!region || !status) return;
  if (told !== null && status !== told) region.textContent = status;
  told = status;
}

let build = null;

// The build's log as it is written; the page's part is asked for again when the build's state changes.
function followBuild() {
  build?.close();
  build = null;
  const part = document.getElementById("build");
  const log = document.querySelector("#build-log code");
  if (!part?.dataset.log || !log) return;
  build = new EventSource(part.dataset.log);
  build.addEventListener("restart", () => {
    log.textContent = "";
  });
  build.addEventListener("log", (event) => {
    keepPlace();
    log.textContent += event.data;
    followLog();
  });
  for (const name of ["status", "done"]) {
    build.addEventListener(name, () => {
      build?.close();
      part.dispatchEvent(new Event("build-changed"));
    });
  }
}

function begin() {
  drawAll(document);
  followLog();
  followBuild();
  tellStatus();
}

document.addEventListener("DOMContentLoaded", begin);
document.addEventListener("htmx:beforeSwap", keepPlace);
document.addEventListener("htmx:afterSettle", begin);
