// Numbers and times in the reader's own format. The formatters are made once, because making one is slow.
import { h, setText } from "./dom.js";

// A number that is rounded to zero has no sign.
const signDisplay = "negative";
const plain = new Intl.NumberFormat(undefined, { signDisplay });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1, signDisplay });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2, signDisplay });
const signed = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, signDisplay: "exceptZero" });
const signedCompact = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
});
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0, signDisplay });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "narrow" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** What stands in place of a number or a time that is not known. */
export const NONE = "–";
/** What that means where the source of a post does not tell a number. */
export const UNKNOWN = "not known from this source";
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** A whole number, with all its digits. */
export const count = (value) => (known(value) ? plain.format(value) : NONE);
/** A whole number, shortened from 10,000 on: 12.3K. */
export const short = (value) =>
  known(value) ? (Math.abs(value) < 10_000 ? plain.format(Math.round(value)) : compact.format(value)) : NONE;
/** A number with two decimals, or with none from 100 on. */
export const decimal = (value) =>
  known(value)
    ? (Math.abs(value) < 100 ? fine : plain).format(Math.abs(value) < 100 ? value : Math.round(value))
    : NONE;
/** A share between 0 and 1, in percent. */
export const percentage = (value) => (known(value) ? percent.format(value) : NONE);
export const clockTime = (moment) => clock.format(new Date(moment));
export const absoluteTime = (moment) => absolute.format(new Date(moment));

/** A number for a cell of a table; what is not known says so on hover. */
export const orUnknown = (value, format = count) =>
  known(value) ? format(value) : h("span", { title: UNKNOWN }, NONE);

/** Engagement as the API computes it: a comment counts like two points of score. Unknown without both. */
export const engagement = (score, comments) => (known(score) && known(comments) ? score + 2 * comments : null);

/** A velocity, which is a change per second, as change per minute with its sign. */
export function perMinute(perSecond) {
  if (!known(perSecond)) return NONE;
  const rate = perSecond * 60;
  return `${(Math.abs(rate) < 1000 ? signed : signedCompact).format(rate)}/min`;
}

/** A number and its noun, in the singular or the plural. */
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago a moment was, or how far ahead it is, in the largest unit that fits. */
export function ago(moment, now = Date.now()) {
  const seconds = Math.trunc((new Date(moment).getTime() - now) / 1000);
  if (Math.abs(seconds) < 5) return "now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A duration given in seconds, in the largest unit that fits. */
export function duration(seconds) {
  if (!known(seconds)) return NONE;
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS.at(-1);
  return new Intl.NumberFormat(undefined, {
    style: "unit",
    unit,
    unitDisplay: "narrow",
    maximumFractionDigits: seconds < 10 ? 1 : 0,
  }).format(seconds / size);
}

/** A <time> that says how long ago the moment was and keeps itself up to date; on hover it shows the absolute time. */
export function when(moment) {
  if (!moment) return h("span", {}, NONE);
  return h("time", { datetime: moment, title: absoluteTime(moment) }, ago(moment));
}

/** Set the moment of a <time> that `when` made. */
export function setWhen(element, moment) {
  element.setAttribute("datetime", moment);
  element.title = absoluteTime(moment);
  setText(element, ago(moment));
}

setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const element of document.querySelectorAll("time[datetime]")) setText(element, ago(element.dateTime, now));
}, 5000);
