// How a chart divides time and prices: which candles to ask for, how many to fold into one, where its axes are marked.
// Pure: times are milliseconds, prices numbers.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** What the API stores, the finest first; `reach` is how far back it goes in one answer. */
const SOURCES = [
  { name: "1s", ms: SECOND, reach: 1000 * SECOND },
  { name: "1m", ms: MINUTE, reach: 1000 * MINUTE },
  { name: "1h", ms: HOUR, reach: Infinity },
];
const BUCKETS = [
  ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 4, 6, 12].map((count) => count * HOUR),
  ...[1, 2, 7, 14, 28].map((count) => count * DAY),
];
const CANDLE_PIXELS = 4;

/** The finest candles that cover a span in one answer. */
export const sourceOf = (span) => SOURCES.find((source) => span <= source.reach);

/** How long one drawn candle lasts, so that a span fits into so many pixels. */
export function bucketOf(span, pixels) {
  const least = Math.max(sourceOf(span).ms, (span / Math.max(pixels, 40)) * CANDLE_PIXELS);
  return BUCKETS.find((bucket) => bucket >= least) ?? BUCKETS[BUCKETS.length - 1];
}

/** Adds a candle to ordered ones: into the last if it is of the same time, after it if later, nowhere if earlier. */
export function joined(candles, next) {
  const last = candles[candles.length - 1];
  if (!last || next.at > last.at) candles.push({ ...next });
  else if (next.at === last.at) {
    last.high = Math.max(last.high, next.high);
    last.low = Math.min(last.low, next.low);
    last.close = next.close;
  }
  return candles;
}

/** Ordered candles as ones of `bucket`; a bucket without a candle has none. */
export const folded = (candles, bucket) =>
  candles.reduce((longer, candle) => joined(longer, { ...candle, at: candle.at - (candle.at % bucket) }), []);

/** Round prices between two, about `count` of them, and the decimal places that tell them apart. */
export function niceSteps(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? rough;
  const steps = [];
  for (let number = Math.ceil(low / step); number * step <= high; number += 1) {
    if (number > 0) steps.push(number * step);
  }
  return { steps, places: Math.max(0, Math.ceil(-Math.log10(step) + (step / power === 2.5 ? 1 : 0) - 1e-9)) };
}

/** Whole local times between two, about `count` of them. */
export function axisTimes(begin, end, count) {
  const least = (end - begin) / Math.max(count, 1);
  const step = BUCKETS.find((bucket) => bucket >= least) ?? BUCKETS[BUCKETS.length - 1];
  const offset = new Date(end).getTimezoneOffset() * MINUTE;
  const times = [];
  for (let at = Math.ceil((begin - offset) / step) * step + offset; at <= end; at += step) {
    if (at - begin > (end - begin) * 0.04 && end - at > (end - begin) * 0.04) times.push(at);
  }
  return times;
}
