// Sparklines: small SVG lines without axes. The numbers beside a sparkline give the scale.
import { s } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 28;
// What is usual at a single moment is drawn at least so wide.
const LEAST_BAND = 3;

/** The scales of a drawing in which all of these fit: functions of a time and of a value. */
function scalesOf(points, values) {
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return {
    x: (time) => ((time - first) / (last - first || 1)) * WIDTH,
    y: (value) => HEIGHT - 2 - ((value - low) / (high - low || 1)) * (HEIGHT - 4),
  };
}

const pathOf = (places) =>
  places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** What is usual as [x of its begin, x of its end, entry] for each entry: until the next one, or to the end. */
function spans(usual, x) {
  return usual.map(([time, ...values], index) => {
    const begin = Math.min(x(time), WIDTH - LEAST_BAND);
    const next = usual[index + 1];
    return [begin, Math.min(Math.max(next ? x(next[0]) : begin + LEAST_BAND, begin), WIDTH), values];
  });
}

/**
 * A sparkline: {element, draw(points, usual)}. Points are [milliseconds, value] by time; `label` says what it shows.
 * `usual` is what is usual at some of these times: [milliseconds, expected, low, high], the last two may be null.
 */
export function sparkline(label) {
  const line = s("path", { class: "line" });
  const area = s("path", { class: "area" });
  const band = s("path", { class: "band" });
  const expected = s("path", { class: "expected" });
  const element = s(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    band,
    expected,
    area,
    line,
  );
  const draw = (points, usual = []) => {
    if (points.length < 2) return;
    const known = usual.flatMap(([, ...values]) => values).filter((value) => value !== null);
    const { x, y } = scalesOf(points, [...points.map(([, value]) => value), ...known]);
    const path = pathOf(points.map(([time, value]) => [x(time), y(value)]));
    line.setAttribute("d", path);
    area.setAttribute("d", `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
    const drawn = spans(usual, x);
    const boxes = drawn.filter(([, , [, low]]) => low !== null);
    band.setAttribute(
      "d",
      boxes
        .map(([begin, end, [, low, high]]) => [
          [begin, y(low)],
          [begin, y(high)],
          [end, y(high)],
          [end, y(low)],
        ])
        .map((corners) => `${pathOf(corners)}Z`)
        .join(""),
    );
    const lines = drawn.map(([begin, end, [value]]) => [
      [begin, y(value)],
      [end, y(value)],
    ]);
    expected.setAttribute("d", lines.map(pathOf).join(""));
  };
  return { element, draw };
}
