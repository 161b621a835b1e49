// A token's price since a moment, as candles: what happened as marks, what the rules hold as lines, live while it lasts.
// SVG without a library. Colours are chart.css's; prices to come arrive as "desk:prices" events of the document.

import { axisTimes, bucketOf, folded, joined, niceSteps, sourceOf } from "./candles.js";
import { el, write } from "./dom.js";
import { duration, exact, percent, placedPrice, price, time, utc } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 210;
const PAD = { top: 12, right: 74, bottom: 22, left: 4 };
const RELOAD_MS = 60_000;
const RETRY_MS = 5_000;
/** These lines are always in sight; others where they are not far from the price. */
const ALWAYS = ["average", "stop"];
const REACH = 0.6; // of the price's own range, above and below it
const LABEL_HEIGHT = 12;
/** So short a candle holds one price or two: a line says more. */
const LINE_MS = 2000;
const SHAPES = {
  up: (x, y) => `M${x} ${y + 3}l5 9h-10z`,
  down: (x, y) => `M${x} ${y - 3}l5 -9h-10z`,
  diamond: (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5 -5z`,
};
const SHAPE_OF = { entry: "up", dca: "up", take_profit: "down", exit: "down", peak: "diamond" };

/**
 * Draws into `container` and keeps it up to date until the container leaves the page or `end()` is called.
 * `options`: mint; from (ISO time); to (ISO time, of what is over; without it the chart is live); marks
 * [{at, price, kind: entry|dca|take_profit|exit|peak, label}]; levels [{price, kind: average|stop|target|dca|peak, label}].
 * Returns {set(options), end()}; `set` changes what is given and keeps the rest.
 */
export function drawChart(container, options) {
  return new Chart(container, options);
}

class Chart {
  constructor(container, options) {
    this.container = container;
    this.options = { marks: [], levels: [], to: null, ...options };
    this.candles = [];
    this.interval = null;
    this.svg = part("svg", { class: "chart", role: "img", tabindex: 0 });
    this.tip = el("div", { class: "chart-tip", hidden: true });
    this.note = el("p", { class: "chart-note muted" }, "Loading prices…");
    container.classList.add("chart-frame");
    container.replaceChildren(this.svg, this.tip, this.note);
    this.hears = (event) => this.take(event.detail);
    document.addEventListener("desk:prices", this.hears);
    this.sees = () => document.hidden || this.load();
    document.addEventListener("visibilitychange", this.sees);
    // The width is told, not asked for: asking would lay out the whole desk with every batch of prices.
    this.width = 0;
    this.watcher = new ResizeObserver(([entry]) => {
      this.width = Math.round(entry.contentRect.width);
      this.schedule();
    });
    this.watcher.observe(container);
    this.svg.addEventListener("pointermove", (event) => this.point(event.clientX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => this.step(event));
    this.svg.addEventListener("blur", () => this.point(null));
    this.load();
  }

  set(options) {
    const { mint, from, to } = this.options;
    this.options = { ...this.options, ...options };
    if (this.options.mint !== mint || this.options.from !== from || this.options.to !== to) {
      this.candles = [];
      this.load();
    }
    this.schedule();
  }

  end() {
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    document.removeEventListener("desk:prices", this.hears);
    document.removeEventListener("visibilitychange", this.sees);
    this.watcher.disconnect();
  }

  get span() {
    const end = this.options.to === null ? Date.now() : Date.parse(this.options.to);
    const begin = Math.min(Date.parse(this.options.from), end - 1000);
    // A little of what came before and after says more than a candle that fills the picture.
    const margin = Math.max((end - begin) * 0.04, 15_000);
    return { begin: begin - margin, end: this.options.to === null ? end : end + margin };
  }

  async load() {
    clearTimeout(this.timer);
    const { begin, end } = this.span;
    const { mint } = this.options;
    const source = sourceOf(end - begin);
    const query = new URLSearchParams({ interval: source.name, from: new Date(begin).toISOString(), to: new Date(end).toISOString(), limit: 1000 });
    let found = null;
    try {
      const answer = await fetch(`/api/v1/prices/${mint}/candles?${query}`, { cache: "no-store" });
      if (answer.ok) found = (await answer.json()).candles;
    } catch {
      // The note says so, and the next try may do better.
    }
    if (mint !== this.options.mint || !this.container.isConnected) return this.container.isConnected ? undefined : this.end();
    if (found !== null) {
      this.interval = source;
      this.candles = found.map(({ at, sol }) => ({
        at: Date.parse(at), open: Number(sol.open), high: Number(sol.high), low: Number(sol.low), close: Number(sol.close),
      }));
    } else if (!this.candles.length) write(this.note, "The prices could not be loaded; trying again.");
    if (found === null || this.options.to === null) this.timer = setTimeout(() => this.load(), found === null ? RETRY_MS : RELOAD_MS);
    this.schedule();
  }

  /** Takes prices as they are told: the last candle grows, or the next begins. */
  take(updates) {
    if (!this.container.isConnected) return this.end();
    if (this.options.to !== null || this.interval === null) return;
    for (const update of updates) {
      if (update.mint !== this.options.mint || !(update.price > 0)) continue;
      const at = Date.parse(update.timestamp);
      joined(this.candles, { at: at - (at % this.interval.ms), open: update.price, high: update.price, low: update.price, close: update.price });
      this.schedule();
    }
  }

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      if (this.container.isConnected) this.draw();
      else this.end();
    });
  }

  draw() {
    const { width } = this;
    if (!width) return;
    const shown = folded(this.candles, bucketOf(this.span.end - this.span.begin, width - PAD.left - PAD.right));
    this.note.hidden = shown.length > 0;
    this.svg.toggleAttribute("hidden", !shown.length);
    if (!shown.length) {
      if (this.interval) write(this.note, "No price was recorded in this time.");
      return;
    }
    this.scale = this.makeScale(shown, width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", HEIGHT);
    this.svg.setAttribute("aria-label", this.inWords(shown));
    this.hair = part("g", { class: "chart-hair" });
    this.svg.replaceChildren(...this.axes(), ...this.bodies(), ...this.lines(), ...this.last(), ...this.marks(), this.hair);
    if (this.pointed !== undefined && this.pointed !== null) this.tell(this.pointed);
  }

  makeScale(shown, width) {
    const { begin, end } = this.span;
    let low = Math.min(...shown.map((candle) => candle.low));
    let high = Math.max(...shown.map((candle) => candle.high));
    for (const { price: at } of this.options.marks) [low, high] = [Math.min(low, at), Math.max(high, at)];
    const reach = Math.max(high - low, high * 0.02) * REACH;
    const levels = this.options.levels.filter(({ price: at, kind }) => at > 0 && (ALWAYS.includes(kind) || (at > low - reach && at < high + reach)));
    for (const { price: at } of levels) [low, high] = [Math.min(low, at), Math.max(high, at)];
    const margin = Math.max((high - low) * 0.07, high * 0.002);
    [low, high] = [Math.max(0, low - margin), high + margin];
    const across = width - PAD.left - PAD.right;
    const down = HEIGHT - PAD.top - PAD.bottom;
    return {
      shown, levels, low, high, begin, end, width,
      bucket: bucketOf(end - begin, across),
      x: (at) => PAD.left + ((at - begin) / (end - begin)) * across,
      y: (value) => PAD.top + ((high - value) / (high - low)) * down,
    };
  }

  axes() {
    const { shown, low, high, begin, end, x, y, width } = this.scale;
    const { steps, places } = niceSteps(low, high, 4);
    const last = y(shown[shown.length - 1].close);
    const covered = (value) => Math.abs(y(value) - last) < LABEL_HEIGHT;
    const parts = [
      ...steps.map((value) => part("line", { class: "chart-grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) })),
      ...steps.filter((value) => !covered(value)).map((value) =>
        text(placedPrice(value, places), { class: "chart-axis", x: width - PAD.right + 7, y: y(value) + 3.5 })),
    ];
    for (const at of axisTimes(begin, end, width / 90)) {
      const iso = new Date(at).toISOString();
      parts.push(
        part("line", { class: "chart-tick", x1: x(at), x2: x(at), y1: HEIGHT - PAD.bottom, y2: HEIGHT - PAD.bottom + 4 }),
        text(shortTime(at, end - begin), { class: "chart-axis chart-time", x: x(at), y: HEIGHT - 5 }, utc(iso)),
      );
    }
    parts.push(text("SOL", { class: "chart-axis chart-unit", x: width - 2, y: HEIGHT - 5 }, "Prices in SOL per token; times are local, UTC on hover"));
    return parts;
  }

  bodies() {
    const { shown, bucket, x, y } = this.scale;
    if (bucket <= LINE_MS) {
      const path = shown.map(({ at, close }, place) => `${place ? "L" : "M"}${fix(x(at + bucket / 2))} ${fix(y(close))}`).join("");
      return [part("path", { class: "chart-line", d: path })];
    }
    const wide = Math.max(1, Math.min(9, (x(bucket) - x(0)) * 0.66));
    const paths = { up: "", down: "" };
    for (const candle of shown) {
      const middle = x(candle.at + bucket / 2);
      const [top, bottom] = [y(Math.max(candle.open, candle.close)), y(Math.min(candle.open, candle.close))];
      const tall = Math.max(1, bottom - top);
      const path = `M${fix(middle)} ${fix(y(candle.high))}V${fix(y(candle.low))}M${fix(middle - wide / 2)} ${fix(top)}h${fix(wide)}v${fix(tall)}h${fix(-wide)}z`;
      paths[candle.close >= candle.open ? "up" : "down"] += path;
    }
    return Object.entries(paths).map(([way, d]) => part("path", { class: `chart-candles chart-${way}`, d }));
  }

  /** Levels with their names at the left, pushed apart where they would cover each other. */
  lines() {
    const { levels, y, width } = this.scale;
    let free = -Infinity;
    return [...levels].sort((a, b) => b.price - a.price).flatMap(({ price: at, kind, label }) => {
      const place = Math.max(y(at) - 4, free + LABEL_HEIGHT);
      free = place;
      return [
        part("line", { class: `chart-level chart-${kind}`, x1: PAD.left, x2: width - PAD.right, y1: y(at), y2: y(at) }),
        text(label, { class: `chart-label chart-${kind}`, x: PAD.left + 2, y: place }, exact(at, "SOL")),
      ];
    });
  }

  last() {
    const { shown, low, high, y, width } = this.scale;
    const { close } = shown[shown.length - 1];
    const at = y(close);
    return [
      part("line", { class: "chart-last", x1: PAD.left, x2: width - PAD.right, y1: at, y2: at }),
      part("rect", { class: "chart-last-box", x: width - PAD.right + 3, y: at - 8.5, width: PAD.right - 4, height: 17, rx: 4 }),
      text(placedPrice(close, niceSteps(low, high, 4).places + 1), { class: "chart-last-price", x: width - PAD.right + 7, y: at + 3.5 }, exact(close, "SOL")),
    ];
  }

  marks() {
    const { x, y, begin, end } = this.scale;
    return this.options.marks.flatMap(({ at, price: value, kind, label }) => {
      const when = Date.parse(at);
      if (!(when >= begin && when <= end) || !(value > 0)) return [];
      const mark = part("path", { class: `chart-mark chart-${kind}`, d: SHAPES[SHAPE_OF[kind] ?? "diamond"](fix(x(when)), fix(y(value))) });
      mark.append(title(`${label}: ${exact(value, "SOL")}, ${time(at)} (${utc(at)})`));
      return [mark];
    });
  }

  inWords(shown) {
    const [first, last] = [shown[0], shown[shown.length - 1]];
    const low = Math.min(...shown.map((candle) => candle.low));
    const high = Math.max(...shown.map((candle) => candle.high));
    return `Price in SOL over ${duration((last.at - first.at + this.scale.bucket) / 1000)}: from ${price(first.open)} to ${price(last.close)}, lowest ${price(low)}, highest ${price(high)}`;
  }

  point(clientX) {
    if (clientX === null || !this.scale) {
      this.pointed = null;
      this.tip.hidden = true;
      this.hair?.replaceChildren();
      return;
    }
    const { shown, bucket, x } = this.scale;
    const place = clientX - this.svg.getBoundingClientRect().left;
    const distance = (candle) => Math.abs(x(candle.at + bucket / 2) - place);
    this.tell(shown.reduce((best, candle) => (distance(candle) < distance(best) ? candle : best)).at);
  }

  /** Arrow keys walk from candle to candle. */
  step(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !this.scale) return;
    event.preventDefault();
    const { shown } = this.scale;
    const here = shown.findIndex((candle) => candle.at === this.pointed);
    this.tell(shown[here < 0 ? shown.length - 1 : Math.min(shown.length - 1, Math.max(0, here + way))].at);
  }

  tell(at) {
    const { shown, bucket, x, width } = this.scale;
    const candle = shown.find((one) => one.at === at);
    if (!candle) return this.point(null);
    this.pointed = at;
    const middle = x(at + bucket / 2);
    this.hair.replaceChildren(part("line", { x1: middle, x2: middle, y1: PAD.top, y2: HEIGHT - PAD.bottom }));
    const iso = new Date(at).toISOString();
    const change = ((candle.close - candle.open) / candle.open) * 100;
    this.tip.replaceChildren(
      el("strong", {}, `${time(iso)}, ${duration(bucket / 1000)}`),
      el("span", { class: "muted" }, utc(iso)),
      el("span", {}, `${price(candle.open)} → ${price(candle.close)} (${percent(change)})`),
      el("span", { class: "muted" }, `low ${price(candle.low)}, high ${price(candle.high)} SOL`),
    );
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.min(width - half, Math.max(half, middle))}px`;
  }
}

function part(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, typeof value === "number" ? fix(value) : value);
  return made;
}

function text(words, attributes, hover) {
  const made = part("text", attributes);
  made.textContent = words;
  if (hover) made.append(title(hover));
  return made;
}

function title(words) {
  const made = document.createElementNS(SVG, "title");
  made.textContent = words;
  return made;
}

const fix = (value) => Math.round(value * 10) / 10;
const clock = (options) => new Intl.DateTimeFormat(undefined, { hour12: false, ...options });
const FORMATS = [
  [900e3, clock({ hour: "2-digit", minute: "2-digit", second: "2-digit" })],
  [86_400e3, clock({ hour: "2-digit", minute: "2-digit" })],
  [Infinity, clock({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" })],
];
const shortTime = (at, span) => FORMATS.find(([until]) => span <= until)[1].format(at);
