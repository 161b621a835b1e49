// One position, opened beside the tables: its figures, the levels its rules hold, and its story. Its address is
// "#position/<id>", so that the browser's way back closes it and a link opens it.

import { drawChart } from "./chart.js";
import { byId, el, flash, write } from "./dom.js";
import { amount, duration, exact, percent, price, short, sol, time, tone, usd, utc } from "./format.js";

const ADDRESS = /^#position\/([0-9a-f-]{36})$/;
const RELOAD_MS = 150;
const PENDING_MS = 2000;
const REASONS = {
  manual: "closed by hand",
  stop_loss: "stop loss",
  stale_trade: "stale trade",
  take_profit: "take profit",
  reset: "wallet reset",
  write_off: "written off",
  reversed: "never on the chain",
};
const NO_DCA = {
  disabled: "off",
  only_moon_bag: "none: only the moon bag is left",
  max_count: "all used",
  levels_exhausted: "all used",
  no_levels: "no levels",
};
const TONES = {
  opened: "info",
  added: "info",
  stop_raised: "good",
  pending: "warn",
  failing: "bad",
  written_off: "bad",
};
const EARNING = ["sold_part", "sold", "closed"];

const addressOf = (id) => `#position/${id}`;

/** Makes a token's name in a table: a link that opens its position, where there is one. */
export function opener(id, symbol) {
  const name = el("strong", {}, symbol || "?");
  return id ? el("a", { class: "open", href: addressOf(id), title: "Levels and story" }, name) : name;
}

export class Drawer {
  /** `options`: positions (the live rows), mayClose, onClose(position). */
  constructor(options) {
    this.options = options;
    this.positions = options.positions;
    this.element = byId("drawer");
    this.body = byId("drawer-body");
    this.id = null;
    this.told = null;
    this.opener = null;
    byId("drawer-close").addEventListener("click", () => this.leave());
    byId("drawer-sell").addEventListener("click", () => {
      const position = this.positions.get(this.id);
      if (position) options.onClose(position);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.id && !document.querySelector("dialog[open]")) this.leave();
    });
    for (const table of document.querySelectorAll("#positions, #trades")) {
      table.addEventListener("click", (event) => this.clicked(event));
    }
    window.addEventListener("hashchange", () => this.follow());
    this.follow();
  }

  /** A row opens wherever it is clicked, but for its buttons, and not when text in it was being marked. */
  clicked(event) {
    const link = event.target.closest("tbody tr")?.querySelector("a.open");
    if (!link || event.target.closest("a, button") || String(getSelection()) !== "") return;
    link.focus({ preventScroll: true });
    location.hash = link.hash;
  }

  leave() {
    history.pushState(null, "", location.pathname + location.search);
    this.follow();
  }

  follow() {
    const id = ADDRESS.exec(location.hash)?.[1] ?? null;
    if (id === this.id) return;
    if (id === null) return this.shut();
    if (this.id === null) this.opener = document.activeElement;
    this.id = id;
    this.told = null;
    this.known = new Set();
    this.body.replaceChildren(el("p", { class: "muted drawer-note" }, "Loading…"));
    byId("drawer-title").replaceChildren();
    byId("drawer-under").replaceChildren();
    byId("drawer-sell").hidden = true;
    this.element.hidden = false;
    this.mark();
    byId("drawer-title").focus({ preventScroll: true });
    this.load();
  }

  shut() {
    const row = this.rowOf(this.id)?.querySelector("a.open");
    this.id = null;
    this.told = null;
    clearTimeout(this.timer);
    this.element.hidden = true;
    this.mark();
    const back = this.opener?.isConnected && this.opener !== document.body ? this.opener : row;
    (back ?? byId("positions-title")).focus({ preventScroll: true });
  }

  rowOf(id) {
    return id && document.querySelector(`a.open[href="${addressOf(id)}"]`)?.closest("tr");
  }

  /** Shows which row is open. */
  mark() {
    for (const row of document.querySelectorAll("tr.opened")) row.classList.remove("opened");
    this.rowOf(this.id)?.classList.add("opened");
  }

  /** Something happened to a position: if it is this one, its story has grown. */
  changed(id) {
    if (id === this.id) this.soon(RELOAD_MS);
  }

  /** The tables are new: the rows may be, and something may have been missed. */
  resynchronised() {
    this.mark();
    if (this.id) this.soon(RELOAD_MS);
  }

  soon(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), milliseconds);
  }

  async load() {
    const id = this.id;
    let told = null;
    let problem = "The story could not be loaded; trying again.";
    try {
      const answer = await fetch(`/desk/positions/${id}`, { cache: "no-store" });
      if (answer.ok) told = await answer.json();
      else problem = (await answer.json()).error ?? problem;
    } catch {
      // The note says so, and the next try may do better.
    }
    if (id !== this.id) return;
    if (told) this.show(told);
    else if (!this.told) this.body.replaceChildren(el("p", { class: "muted drawer-note" }, problem));
    const waiting = !told || told.events.some((event) => ["pending", "failing"].includes(event.kind));
    if (waiting && !document.hidden) this.soon(PENDING_MS);
  }

  show(told) {
    this.told = told;
    const { position } = told;
    byId("drawer-title").replaceChildren(position.tokenSymbol || "?", " ", this.state(position));
    byId("drawer-under").replaceChildren(
      el("span", { class: "mint", title: position.tokenAddress }, short(position.tokenAddress)),
      el("span", {}, told.agentName),
      el("a", { href: told.adminUrl }, "Admin page"),
    );
    byId("drawer-sell").hidden = !this.options.mayClose || position.closedAt !== null;
    this.figures = el("dl", { class: "drawer-figures" });
    this.levels = el("tbody");
    const parts = [this.figures];
    if (told.plan) parts.push(levelsTable(this.levels), this.facts(told));
    parts.push(this.chartOf(told), this.story(told.events));
    const top = this.element.scrollTop;
    this.body.replaceChildren(...parts);
    this.element.scrollTop = top;
    this.tick();
  }

  /** The price since it was opened; the same chart while the same position is shown. */
  chartOf({ position, plan, events }) {
    const options = {
      mint: position.tokenAddress, from: position.openedAt, to: position.closedAt,
      marks: marksOf(events), levels: linesOf(position, plan),
    };
    if (this.chart?.isConnected && this.chart.dataset.chart === position.id) this.drawing.set(options);
    else {
      this.chart = el("div", { "data-chart": position.id });
      this.drawing = drawChart(this.chart, options);
    }
    return this.chart;
  }

  state(position) {
    const reason = position.closedAt === null ? null : REASONS[position.closeReason] ?? position.closeReason;
    return el("span", { class: `badge ${reason ? "" : "good"}` }, reason ?? "open");
  }

  /** Repaints what moves with prices and time; cheap enough for every batch of prices. */
  tick() {
    if (!this.told) return;
    const live = this.positions.get(this.id);
    this.paintFigures(live);
    if (this.told.plan) this.paintLevels(live);
    this.paintCooldown();
  }

  paintFigures(live) {
    const { position, events } = this.told;
    const figures = [];
    if (live && position.closedAt === null) {
      const now = this.positions.figures(live);
      figures.push(
        ["Price", price(now.price), exact(now.price, "SOL"), percent(now.change), tone(now.change)],
        ["Value", `${sol(now.worth)} SOL`, exact(now.worth, "SOL"), ""],
        ["P/L", `${sol(now.profit, true)} SOL`, exact(now.profit, "SOL"), usd(now.profitUsd, true), tone(now.profit)],
      );
    } else {
      const end = events.find((event) => event.kind === "closed");
      const change = end ? Number(end.facts.changePercent) : null;
      figures.push(
        ["Average", price(position.averagePriceSol), exact(position.averagePriceSol, "SOL"), ""],
        ["Received", `${sol(position.proceedsSol)} SOL`, exact(position.proceedsSol, "SOL"), `of ${sol(position.investedSol)} paid`],
        ["P/L", `${sol(position.realizedProfitSol, true)} SOL`, exact(position.realizedProfitSol, "SOL"), percent(change), tone(position.realizedProfitSol)],
      );
    }
    fill(this.figures, figures.map(([name, text, title, under, sign]) =>
      el("div", { title }, el("dt", {}, name), el("dd", { class: sign }, text), el("dd", { class: "second" }, under || "\u00a0"))));
  }

  /** The prices that matter, highest first, with the present one among them. */
  paintLevels(live) {
    const { plan, position } = this.told;
    const average = live?.purchasePrice ?? position.averagePriceSol;
    const stop = live ? live.stopLossPrice : position.stopPriceSol;
    const peak = live?.peakPrice ?? position.peakPriceSol;
    const now = live ? this.positions.figures(live).price : null;
    const rows = [
      { name: "Average", at: average, kind: "average" },
      peak > average && { name: "Peak", at: peak, kind: "peak" },
      plan.stopLoss.enabled && stop !== null && { name: "Stop", at: stop, kind: "stop", note: "sells everything" },
      now !== null && { name: "Price now", at: now, kind: "now" },
      ...(plan.takeProfit.enabled ? plan.takeProfit.levels.map(rung) : []),
      plan.dca.nextPriceSol !== null && {
        name: `DCA ${plan.dca.count + 1}`, at: plan.dca.nextPriceSol, kind: "dca", note: `adds ${share(plan.dca.nextBuyPercent)}`, set: plan.dca.nextDropPercent,
      },
    ].filter(Boolean);
    rows.sort((one, other) => other.at - one.at);
    fill(this.levels, rows.map(({ name, at, kind, note, hit, set }) => {
      const distance = now === null || kind === "now" ? null : ((at - now) / now) * 100;
      const change = set === undefined ? moving(((at - average) / average) * 100) : setPercent(set);
      return el("tr", { class: `level-${kind}${hit ? " hit" : ""}` },
        el("th", { scope: "row" }, name, note ? el("span", { class: "second" }, note) : null),
        el("td", { class: "num" }, kind === "average" ? "" : change),
        el("td", { class: "num", title: exact(at, "SOL") }, price(at)),
        el("td", { class: "num" }, hit ? "sold" : moving(distance)));
    }));
  }

  facts({ plan, position }) {
    const { takeProfit, moonBag, dca, staleTrade, stopLoss } = plan;
    const tokens = (value) => `${amount(value)} ${position.tokenSymbol}`;
    const held = (position.remainingTokens / position.boughtTokens) * 100;
    const earlier = takeProfit.earlierLevels ? `, ${takeProfit.earlierLevels} before the last DCA` : "";
    const bag = moonBag.active ? `${tokens(moonBag.tokens)} set aside` : moonBag.enabled && takeProfit.enabled
      ? `${tokens(moonBag.tokens)} from ${setPercent(moonBag.triggerPercent)} on` : "off";
    this.cooldown = el("span");
    const facts = [
      ["Held", `${tokens(position.remainingTokens)}${held < 100 ? ` (${share(held)})` : ""}`],
      ["Cost left", `${sol(position.remainingCostSol)} of ${sol(position.investedSol)} SOL`],
      ["Realised", `${sol(position.realizedProfitSol, true)} SOL`],
      ["Stop loss", stopLoss.enabled ? stopLoss.mode : "off"],
      ["Take profit", takeProfit.enabled ? `${takeProfit.levelsHit}/${takeProfit.levels.length} levels${earlier}` : "off"],
      ["Moon bag", bag],
      ["DCA", dca.enabled ? `${dca.count}/${dca.maximum} buys` : "off", this.cooldown],
      ["Stale close", staleTrade.enabled
        ? `from ${time(staleTrade.fromAt)} at ${setPercent(staleTrade.minProfitPercent)} to ${setPercent(staleTrade.maxProfitPercent)}` : "off"],
    ];
    return el("dl", { class: "facts" }, ...facts.flatMap(([name, text, more]) => [el("dt", {}, name), el("dd", {}, text, more)]));
  }

  paintCooldown() {
    const dca = this.told.plan?.dca;
    if (!dca?.enabled) return;
    const left = dca.readyAt === null ? 0 : (new Date(dca.readyAt) - Date.now()) / 1000;
    const why = NO_DCA[dca.code] ?? "";
    write(this.cooldown, why ? `, ${why}` : left > 0 ? `, next in ${duration(Math.ceil(left))} at the earliest` : "");
  }

  story(events) {
    const list = el("ol", { class: "story" });
    const fresh = this.known.size > 0;
    for (const event of [...events].reverse()) {
      const item = storyItem(event);
      const key = `${event.id} ${event.kind}`;
      if (fresh && !this.known.has(key)) flash(item, "flash-new");
      this.known.add(key);
      list.append(item);
    }
    return el("section", { "aria-labelledby": "drawer-story" },
      el("h3", { id: "drawer-story" }, "Story ", el("span", { class: "muted" }, "newest first")), list);
  }
}

/** A set figure: 25 %, not 25.00 %. */
const setPercent = (value) => percent(value).replace(/\.?0+(?=\u202f%)/, "");
const share = (value) => setPercent(value).replace("+", "");
/** A moving one: a tenth of a percent is enough. */
const moving = (value) => (value === null ? "" : percent(Math.round(value * 10) / 10).replace(/0(?=\u202f%)/, ""));

function rung(level) {
  return {
    name: `Take profit ${level.number}`, at: level.priceSol, kind: "target", hit: level.hit,
    note: `sells ${share(level.sellPercent)}`, set: level.targetPercent,
  };
}

const MARKS = { opened: "entry", added: "dca", sold_part: "take_profit", sold: "exit", written_off: "exit", stop_raised: "peak" };

/** What a chart marks: fills at what they gave, and the prices that raised the stop. */
const marksOf = (events) =>
  events.filter((event) => event.kind in MARKS).map(({ at, kind, title, priceSol, facts }) => {
    const got = (Number(facts.netSol) + Number(facts.feesSol)) / Number(facts.soldTokens);
    return { at, kind: MARKS[kind], label: title, price: got > 0 ? got : priceSol };
  });

/** What a chart shows as lines: the levels an open position's rules hold. */
function linesOf(position, plan) {
  const lines = [{ price: position.averagePriceSol, kind: "average", label: "Average" }];
  if (!plan) return lines;
  if (position.peakPriceSol > position.averagePriceSol) lines.push({ price: position.peakPriceSol, kind: "peak", label: "Peak" });
  if (plan.stopLoss.enabled && position.stopPriceSol !== null) lines.push({ price: position.stopPriceSol, kind: "stop", label: "Stop" });
  const targets = plan.takeProfit.enabled ? plan.takeProfit.levels.filter((level) => !level.hit) : [];
  lines.push(...targets.map((level) => ({ price: level.priceSol, kind: "target", label: `Take profit ${level.number}` })));
  if (plan.dca.nextPriceSol !== null) lines.push({ price: plan.dca.nextPriceSol, kind: "dca", label: `DCA ${plan.dca.count + 1}` });
  return lines;
}

function levelsTable(body) {
  const head = ["Level", "Of average", "SOL", "From here"];
  return el("table", { class: "levels" },
    el("thead", {}, el("tr", {}, ...head.map((name, place) => el("th", { scope: "col", class: place ? "num" : "" }, name)))), body);
}

function storyItem(event) {
  const earned = Number(event.facts.profitSol ?? 0);
  const mood = EARNING.includes(event.kind) && earned !== 0 ? (earned > 0 ? "good" : "bad") : TONES[event.kind] ?? "";
  const age = event.priceAgeSeconds === null ? "" : `, ${event.priceAgeSeconds.toFixed(1)}\u202fs old`;
  const source = event.priceSource === null || event.priceSource === "fill" ? "" : `${price(event.priceSol)} · ${event.priceSource}${age}`;
  return el("li", { class: mood },
    el("time", { datetime: event.at, title: utc(event.at) }, time(event.at)),
    el("div", {},
      el("strong", {}, event.title),
      el("p", {}, event.text),
      source ? el("p", { class: "second", title: exact(event.priceSol, "SOL") }, source) : null));
}

/** Replaces children only when they read differently, so that text can be marked while prices move. */
function fill(element, children) {
  const shown = children.map((child) => child.outerHTML).join("");
  if (element.dataset.shown === shown) return;
  element.dataset.shown = shown;
  element.replaceChildren(...children);
}
