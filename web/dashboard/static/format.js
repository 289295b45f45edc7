// Numbers and times in the reader's own format. One formatter each: making them is slow.
import { h, setText } from "./dom.js";

const plain = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });
const signed = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1, signDisplay: "exceptZero" });
const signedCompact = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
});
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "narrow" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);

export const count = (value) => (known(value) ? plain.format(value) : NONE);
export const short = (value) =>
  known(value) ? (Math.abs(value) < 10_000 ? plain.format(Math.round(value)) : compact.format(value)) : NONE;
export const decimal = (value) =>
  known(value)
    ? (Math.abs(value) < 100 ? fine : plain).format(Math.abs(value) < 100 ? value : Math.round(value))
    : NONE;
export const share = (value) => (known(value) ? percent.format(value) : NONE);
export const clockTime = (moment) => clock.format(new Date(moment));
export const absoluteTime = (moment) => absolute.format(new Date(moment));

/** A velocity (per second) as change a minute, with its sign. */
export function perMinute(perSecond) {
  if (!known(perSecond)) return NONE;
  const rate = perSecond * 60;
  return `${(Math.abs(rate) < 1000 ? signed : signedCompact).format(rate)}/min`;
}

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago (or ahead) a moment is, in its largest unit. */
export function ago(moment, now = Date.now()) {
  const seconds = Math.trunc((new Date(moment).getTime() - now) / 1000);
  if (Math.abs(seconds) < 5) return "now";
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A length of time in seconds, in its largest unit. */
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

/** A <time> that says how long ago it is, has the absolute time on hover, and grows older by itself. */
export function when(moment) {
  if (!moment) return h("span", {}, NONE);
  return h("time", { datetime: moment, title: absoluteTime(moment) }, ago(moment));
}

/** Give a <time> another moment. */
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
