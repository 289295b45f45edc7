// Sparklines: small SVG lines without axes. The numbers beside a sparkline give the scale.
import { s } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 28;

function pathOf(points) {
  const [first, last] = [points[0][0], points.at(-1)[0]];
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (time) => ((time - first) / (last - first || 1)) * WIDTH;
  const y = (value) => HEIGHT - 2 - ((value - low) / (high - low || 1)) * (HEIGHT - 4);
  return points
    .map(([time, value], index) => `${index ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`)
    .join("");
}

/** A sparkline: {element, draw(points)}. Points are [milliseconds, value] by time; `label` says what it shows. */
export function sparkline(label) {
  const line = s("path", { class: "line" });
  const area = s("path", { class: "area" });
  const element = s(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    },
    area,
    line,
  );
  const draw = (points) => {
    if (points.length < 2) return;
    const path = pathOf(points);
    line.setAttribute("d", path);
    area.setAttribute("d", `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`);
  };
  return { element, draw };
}
