// Charts drawn by uPlot, each with its numbers as a table. Without the library there is only the table.
import { h, scrollRegion } from "../dom.js";
import { count, NONE } from "../format.js";
import { commonRange, distances, tickTexts } from "./axes.js";
import { table } from "./table.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
// Fewer values than this are marked with points, because they make no visible line.
const FEW = 4;
const VENDOR = "/static/vendor";
let library = null;

/** The texts of a time axis in the reader's format: the time of day, and the date where a new day begins. */
function timeTicks(ticks) {
  let before = null;
  return ticks.map((tick) => {
    const moment = new Date(tick * 1000);
    const date = day.format(moment);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    const text = midnight ? date : date === before ? clock.format(moment) : `${clock.format(moment)}\n${date}`;
    before = date;
    return text;
  });
}

/** uPlot, loaded when the first chart is drawn; null when it is not installed. */
function loadLibrary() {
  library ??= new Promise((resolve) => {
    document.head.append(h("link", { rel: "stylesheet", href: `${VENDOR}/uPlot.min.css` }));
    document.head.append(
      h("script", {
        src: `${VENDOR}/uPlot.iife.min.js`,
        onload: () => resolve(globalThis.uPlot),
        onerror: () => resolve(null),
      }),
    );
  });
  return library;
}

/** The present colour of a variable of the style sheet, because a canvas knows no variables. */
function colourOf(variable) {
  const probe = h("span", { hidden: true });
  probe.style.color = `var(--${variable})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function tableOf({ x, series }) {
  const columns = [
    { label: x.label, cell: (row) => x.format(x.values[row]) },
    ...series.map(({ label, values, format }) => ({ label, number: true, cell: (row) => format(values[row]) })),
  ];
  return table(columns, [...x.values.keys()]);
}

function optionsOf(plot, { x, series, height }, width) {
  const [grid, text] = [colourOf("line"), colourOf("quiet")];
  const axis = {
    stroke: text,
    grid: { stroke: grid, width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const sides = [...new Set(series.map(({ side }) => side ?? "left"))];
  const ofSide = (side) => series.filter((one) => (one.side ?? "left") === side);
  const rangeOf = commonRange(sides.map((side) => ofSide(side).flatMap(({ values }) => values)));
  const scales = Object.fromEntries(sides.map((side) => [side, { range: (_, low, high) => rangeOf(low, high) }]));
  return {
    width,
    height,
    padding: [10, sides.includes("right") ? 0 : 20, 0, 0],
    scales: {
      ...scales,
      x: { time: Boolean(x.time), ...(x.step && { range: (_, low, high) => [low - x.step / 2, high + x.step / 2] }) },
    },
    cursor: { points: { size: 6 }, drag: { x: true, y: false } },
    legend: { live: true },
    axes: [
      {
        ...axis,
        space: 70,
        ...(x.step === 1 && { incrs: distances(count) }),
        values: (_, ticks) => (x.time ? timeTicks(ticks) : ticks.map((tick) => x.format(tick))),
      },
      ...sides.map((side) => {
        const [{ format }] = ofSide(side);
        return {
          ...axis,
          scale: side,
          side: side === "left" ? 3 : 1,
          size: 52,
          grid: side === "left" ? axis.grid : { show: false },
          incrs: distances(format),
          values: (_, ticks) => tickTexts(ticks, format),
        };
      }),
    ],
    series: [
      { label: x.label, value: (_, value) => (value === null ? NONE : x.format(value * (x.time ? 1000 : 1))) },
      ...series.map(({ label, colour, format, bars, side, values }) => ({
        label,
        scale: side ?? "left",
        stroke: colourOf(colour),
        width: bars ? 0 : 1.75,
        spanGaps: true,
        points: { show: !bars && values.length < FEW, size: 5 },
        fill: bars ? colourOf(colour) : undefined,
        paths: bars ? plot.paths.bars({ size: [0.8, 40] }) : undefined,
        value: (_, value) => (value === null ? NONE : format(value)),
      })),
    ],
  };
}

/**
 * A chart: {element, show(data)}. `signal` aborts when the page is left, which ends the chart. The data are {x: {label,
 * values, format, time, step}, series: [{label, values, format, colour, bars, side}], height}. With `time`, the values
 * of x are times in milliseconds. `step` is the width of a bar on the x axis, in the unit of x or, for times, in
 * seconds. `colour` is a variable of the style sheet, `side` is left or right, `height` is in pixels.
 */
export function chart(label, signal) {
  const canvas = h("div", { class: "canvas", "aria-hidden": "true" });
  const numbers = scrollRegion("Numbers of the chart");
  numbers.classList.add("table-of-chart");
  const details = h("details", { class: "as-table" }, h("summary", {}, "As a table"), numbers);
  const element = h("figure", { class: "chart", "aria-label": label }, canvas, details);
  let data = null;
  let drawn = null;

  async function draw() {
    const plot = await loadLibrary();
    if (!data || signal.aborted) return;
    if (!plot) {
      canvas.classList.add("missing");
      canvas.removeAttribute("aria-hidden");
      canvas.replaceChildren(
        h(
          "p",
          { class: "quiet" },
          "No charts on this server: its chart library is not installed. ",
          h("code", {}, "make web/dashboard/static/vendor/uPlot.iife.min.js"),
          " fetches it. The numbers are in the table.",
        ),
      );
      details.open = true;
      return;
    }
    drawn?.destroy();
    const scale = data.x.time ? 1000 : 1;
    const columns = [
      data.x.values.map((value) => value / scale),
      ...data.series.map(({ values }) => values.map((value) => value ?? null)),
    ];
    drawn = new plot(optionsOf(plot, data, canvas.clientWidth || 300), columns, canvas);
  }

  function show(fresh) {
    data = { height: 220, ...fresh };
    canvas.style.minHeight = `${data.height + 30}px`;
    if (details.open) numbers.replaceChildren(tableOf(data));
    draw();
  }

  details.addEventListener("toggle", () => {
    if (details.open && data) numbers.replaceChildren(tableOf(data));
  });
  const resized = new ResizeObserver(() => drawn?.setSize({ width: canvas.clientWidth, height: data.height }));
  resized.observe(canvas);
  document.addEventListener("theme", draw, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal });
  signal.addEventListener("abort", () => {
    resized.disconnect();
    drawn?.destroy();
  });
  return { element, show };
}
