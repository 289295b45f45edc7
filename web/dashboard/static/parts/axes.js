// What the vertical axes of a chart show: their ranges and the texts of their ticks.
import { count, decimal, short } from "../format.js";

const exact = new Intl.NumberFormat(undefined, { maximumFractionDigits: 6, signDisplay: "negative" });
// The room above the highest value.
const ROOM = 1.05;

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/**
 * The ranges of the axes of a chart: a function of the lowest and the highest value that an axis shows. Each begins at
 * zero or below, because readers compare heights; and zero is at one height on all axes. `columns` are the values of
 * each axis.
 */
export function commonRange(columns) {
  let [below, above] = [0, 0];
  for (const values of columns) {
    const numbers = values.filter(isNumber);
    const low = numbers.reduce((least, value) => Math.min(least, value), 0);
    const high = numbers.reduce((most, value) => Math.max(most, value), 0);
    const span = high - low || 1;
    below = Math.max(below, -low / span);
    above = Math.max(above, high / span);
  }
  const share = below / (below + above || 1);
  return (low, high) => {
    const [under, over] = [Math.max(0, -(low ?? 0)), Math.max(0, high ?? 0)];
    const span = Math.max(share < 1 ? over / (1 - share) : 0, share > 0 ? under / share : 0) || 1;
    // Minus zero would be another number for uPlot.
    return [share ? -share * span * ROOM : 0, (1 - share) * span * ROOM];
  };
}

/** The texts of ticks. Where two would look the same, all have the digits that tell them apart. */
export function tickTexts(ticks, format) {
  const texts = ticks.map(format);
  return new Set(texts).size < texts.length ? ticks.map((tick) => exact.format(tick)) : texts;
}

const POWERS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const WHOLE = POWERS.flatMap((power) => [1, 2, 5].map((step) => step * power));
const HUNDREDTHS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];

/** The distances between ticks that a format can tell apart; undefined for a format without a known step. */
export function distances(format) {
  if (format === count || format === short) return WHOLE;
  return format === decimal ? [...HUNDREDTHS, ...WHOLE] : undefined;
}
