// Bar charts: <div data-chart data-source="json-script-id"> with {days: ["2026-11-23"], nano: ["1050000"]}.
import uPlot from "uplot";

const NANO = 1e9;

function colour(name) {
  // Custom properties may hold light-dark(); a probe element resolves them.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function dollars(value) {
  if (value === 0) return "$0";
  return `$${value.toFixed(9).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

function draw(element) {
  const { days, nano } = JSON.parse(document.getElementById(element.dataset.source).textContent);
  const axis = { stroke: colour("--text-faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const options = {
    width: element.clientWidth,
    height: 220,
    legend: { live: true },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: true, range: (_, from, to) => [from - 43200, to + 43200] }, y: { range: (_, __, top) => [0, top || 1] } },
    axes: [
      { ...axis, grid: { show: false }, values: [[86400, "{MMM} {D}", null, null, null, null, null, null, 1]] },
      { ...axis, size: 84, values: (_, ticks) => ticks.map(dollars) },
    ],
    series: [
      { label: "Day", value: (_, at) => (at == null ? "–" : new Date(at * 1000).toISOString().slice(0, 10)) },
      {
        label: element.dataset.label ?? "Spent",
        fill: colour("--accent"),
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.7, 48], radius: 0.15 }),
        value: (_, amount) => (amount == null ? "–" : dollars(amount)),
      },
    ],
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
  };
  const at = days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
  element.replaceChildren();
  return new uPlot(options, [at, nano.map((amount) => Number(amount) / NANO)], element);
}

for (const element of document.querySelectorAll("[data-chart]")) {
  let plot = draw(element);
  new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 220 })).observe(element);
  const again = () => {
    plot.destroy();
    plot = draw(element);
  };
  document.addEventListener("themechange", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}
