// Numbers and times as the desk writes them: the admin's rules (apps/core/formatting.py) in the browser.
// What is unknown is a dash, never zero; the exact value belongs beside it, on hover.

export const UNKNOWN = "–";
const MINUS = "−";
const THIN = "\u202f";
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const SIGNIFICANT = 4;

const known = (value) => typeof value === "number" && Number.isFinite(value);
const formats = new Map();
/** Making a number format costs more than using it a hundred times. */
function written(value, key, options) {
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en-US", options));
  return formats.get(key).format(value);
}
const grouped = (magnitude, places) =>
  written(magnitude, places, { minimumFractionDigits: places, maximumFractionDigits: places });
const withSign = (text, value, signed) => (value < 0 ? MINUS + text : signed && value > 0 ? "+" + text : text);

/** More places where `places` would hide a number that is not zero. */
function fixed(value, places, signed, before = "") {
  if (!known(value)) return UNKNOWN;
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && magnitude < 0.5 / 10 ** places) {
    return withSign(before + "<" + (1 / 10 ** places).toFixed(places), value, false);
  }
  return withSign(before + grouped(magnitude, places), value, signed);
}

/** SOL with four places: 1,234.5000. */
export const sol = (value, signed = false) => fixed(value, 4, signed);

/** US dollars to the cent: $1,234.50. */
export const usd = (value, signed = false) => fixed(value, 2, signed, "$");

/** Percent with its sign: +12.35 %. */
export const percent = (value) => (known(value) ? fixed(value, 2, true) + THIN + "%" : UNKNOWN);

/** A price with its leading zeros counted: 0.0000160548 is 0.0₄1605. */
export function price(value) {
  if (!known(value) || value <= 0) return UNKNOWN;
  if (value >= 1000) return grouped(value, 2);
  const zeros = Math.max(0, Math.floor(-Math.log10(value) + 1e-12));
  if (value >= 1) return value.toPrecision(SIGNIFICANT + 1);
  if (zeros < 4) return value.toFixed(zeros + SIGNIFICANT);
  const digits = value.toExponential(SIGNIFICANT - 1).split("e")[0].replace(".", "");
  return zeroes(zeros) + digits;
}

/** A price with so many places, as beside others of one scale: 0.00120, 0.00100; 0.0₅12, 0.0₅11. */
export function placedPrice(value, places) {
  const text = grouped(value, Math.min(places, 20));
  return text.replace(/^0\.(0{4,})(?=\d)/, (_, zeros) => zeroes(zeros.length));
}

const zeroes = (count) => "0.0" + [...String(count)].map((digit) => SUBSCRIPTS[digit]).join("");

/** Whole tokens with about six digits; millions and more are shortened. */
export function amount(value) {
  if (!known(value)) return UNKNOWN;
  for (const [scale, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"]]) {
    if (value >= scale) return (value / scale).toPrecision(5) + letter;
  }
  return written(value, "amount", { maximumSignificantDigits: 6 });
}

/** Every digit a number has, for a tooltip. */
export function exact(value, unit) {
  if (!known(value)) return "unknown";
  return written(value, "exact", { maximumFractionDigits: 20, maximumSignificantDigits: 17 }) + " " + unit;
}

/** Seconds as the largest two units: 42 s, 3 m 12 s, 5 h 04 m, 2 d 3 h. */
export function duration(seconds) {
  if (!known(seconds)) return UNKNOWN;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}${THIN}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}${THIN}m ${String(whole % 60).padStart(2, "0")}${THIN}s`;
  if (whole < 86400) {
    return `${Math.floor(whole / 3600)}${THIN}h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}${THIN}m`;
  }
  return `${Math.floor(whole / 86400)}${THIN}d ${Math.floor((whole % 86400) / 3600)}${THIN}h`;
}

/** Seconds as an age: 0.4 s, 7.0 s, then as a duration. */
export const age = (seconds) => (known(seconds) && seconds < 9.95 ? `${Math.max(0, seconds).toFixed(1)}${THIN}s` : duration(seconds));

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dated = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

/** Local time of today, with the date before today. */
export function time(text) {
  const at = new Date(text);
  return (Date.now() - at < 20 * 3600e3 ? clock : dated).format(at);
}

/** The same moment in UTC, for a tooltip. */
export const utc = (text) => text.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");

/** First and last characters of an address. */
export const short = (address) => `${address.slice(0, 4)}…${address.slice(-4)}`;

/** "gain", "loss" or "". */
export const tone = (value) => (known(value) && value > 0 ? "gain" : known(value) && value < 0 ? "loss" : "");
