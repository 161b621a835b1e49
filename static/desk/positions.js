// The positions table: rows by id, prices by mint, painted at most once a frame.

import { attribute, byId, el, flash, write } from "./dom.js";
import { opener } from "./drawer.js";
import { amount, duration, exact, percent, price, short, sol, time, tone, usd, utc } from "./format.js";

const STALE_SECONDS = 10;
const NEAR_STOP = 0.3; // of the room a position had when it was opened
const CLOSING_SECONDS = 30;

const LEVELS_REST_MS = 1000;
const of = (count, total) => (total ? `${count}/${total}` : String(count));

/** How much of what was ever bought is left: "75 % left"; nothing while it is all. */
function left(position) {
  const share = (position.remainingAmount / position.purchaseAmount) * 100;
  return share < 100 ? `${share.toFixed(share < 1 ? 2 : 0)}\u202f% left` : "";
}

/** What exits did to a position so far, in a word each: "TP 1/4 · DCA 2/3 · bag"; `levels` are its agent's rules. */
function done(position, levels) {
  return [
    position.takeProfitLevelsHit && `TP ${of(position.takeProfitLevelsHit, position.totalTakeProfitLevels ?? levels?.takeProfit)}`,
    position.dcaCount && `DCA ${of(position.dcaCount, levels?.dca)}`,
    position.moonBagActivated && "bag",
  ].filter(Boolean).join(" · ");
}

/** The same in full. */
function held(position) {
  const { tokenSymbol, totalTakeProfitLevels: levels } = position;
  const parts = [exact(position.remainingAmount, tokenSymbol)];
  if (position.purchaseAmount > position.remainingAmount) parts[0] += ` of ${exact(position.purchaseAmount, "bought")}`;
  if (position.takeProfitLevelsHit) parts.push(`take profit sold ${position.takeProfitLevelsHit}${levels === null ? "" : ` of ${levels}`} levels`);
  if (position.dcaCount) parts.push(`DCA bought ${position.dcaCount} times`);
  if (position.moonBagActivated) parts.push(`a moon bag of ${exact(position.moonBagAmount, tokenSymbol)} is kept`);
  return parts.join("; ");
}

/** Lets a recorded price count for a position's peak and low; one from before its last buy does not. */
function raisePeak(position, { tick, high, low }) {
  if (tick === null || tick <= position.peakFromTick) return;
  position.peakPrice = Math.max(position.peakPrice, high);
  if (low < (position.lowestPrice ?? position.purchasePrice)) position.lowestPrice = low;
}

export class Positions {
  /** `options`: mayClose, onClose(position). */
  constructor(options) {
    this.options = options;
    this.body = document.querySelector("#positions tbody");
    this.rows = new Map();
    this.byMint = new Map();
    this.prices = new Map();
    this.agents = new Map();
    this.order = { key: "age", down: true };
    this.filter = "";
    this.solUsd = null;
    this.changed = new Set();
    this.levels = {};
    for (const head of document.querySelectorAll("#positions th[data-sort]")) {
      head.querySelector("button").addEventListener("click", () => this.sortBy(head.dataset.sort));
    }
    byId("filter").addEventListener("input", (event) => {
      this.filter = event.target.value.trim().toLowerCase();
      this.arrange();
    });
    this.showOrder();
  }

  get all() {
    return [...this.rows.values()].map((row) => row.position);
  }

  /** How many levels agents' positions have is asked for when it may have changed, at most once a second. */
  askForLevels() {
    this.levelsTimer ??= setTimeout(async () => {
      this.levelsTimer = null;
      try {
        const answer = await fetch("/desk/levels", { cache: "no-store" });
        if (answer.ok) this.levels = await answer.json();
      } catch {
        return; // without it the rows say how many levels were hit, not of how many
      }
      for (const row of this.rows.values()) this.changed.add(row);
      this.schedule();
    }, LEVELS_REST_MS);
  }

  get(id) {
    return this.rows.get(id)?.position;
  }

  /** Replaces everything by a snapshot, keeping the rows that stay. */
  reset(data) {
    this.agents = new Map(data.agents.map((agent) => [agent.id, agent.name]));
    const present = new Set(data.positions.map((position) => position.id));
    for (const id of this.rows.keys()) if (!present.has(id)) this.remove(id, false);
    for (const position of data.positions) {
      if (position.priceAt) {
        const known = this.prices.get(position.tokenAddress);
        const at = new Date(position.priceAt).getTime();
        if (!known || known.at < at) {
          this.prices.set(position.tokenAddress, {
            price: position.currentPrice, usd: position.currentPriceUsd, source: position.priceSource, at,
          });
        }
      }
      this.put(position, false);
    }
    this.arrange();
  }

  put(position, isNews = true) {
    let row = this.rows.get(position.id);
    const fresh = !row;
    if (fresh) {
      row = this.makeRow(position);
      this.rows.set(position.id, row);
      if (!this.byMint.has(position.tokenAddress)) this.byMint.set(position.tokenAddress, new Set());
      this.byMint.get(position.tokenAddress).add(position.id);
      this.body.append(row.element);
    }
    row.position = position;
    this.paint(row);
    if (isNews) {
      flash(row.element, "flash-new");
      this.arrange();
    }
  }

  remove(id, animated = true) {
    const row = this.rows.get(id);
    if (!row) return null;
    this.rows.delete(id);
    this.changed.delete(row);
    this.byMint.get(row.position.tokenAddress)?.delete(id);
    const hadFocus = row.element.contains(document.activeElement);
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    if (animated) {
      row.element.classList.add("leaving");
      row.element.inert = true;
      setTimeout(() => row.element.remove(), 450);
    } else row.element.remove();
    if (hadFocus) (next?.querySelector("button") ?? byId("positions-title")).focus();
    this.count();
    return row.position;
  }

  /** Takes a batch of prices; returns SOL/USD when it was among them. */
  takePrices(updates, solMint) {
    let solUpdate = null;
    for (const update of updates) {
      const before = this.prices.get(update.mint);
      const at = new Date(update.timestamp).getTime();
      this.prices.set(update.mint, { price: update.price, usd: update.priceUsd, source: update.source, at });
      if (update.mint === solMint) {
        solUpdate = update;
        this.solUsd = update.priceUsd;
      }
      for (const id of this.byMint.get(update.mint) ?? []) {
        const row = this.rows.get(id);
        raisePeak(row.position, update);
        if (before && before.price !== update.price) row.moved = update.price > before.price ? "flash-up" : "flash-down";
        this.changed.add(row);
      }
    }
    this.schedule();
    return solUpdate;
  }

  schedule() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      for (const row of this.changed) this.paint(row);
      this.changed.clear();
      if (["change", "profit", "stop"].includes(this.order.key)) this.arrange();
    });
  }

  /** Repaints what grows old by itself; called each second. */
  tick() {
    for (const row of this.rows.values()) this.paintAges(row);
  }

  markClosing(id, closing) {
    const row = this.rows.get(id);
    if (!row?.close) return;
    row.close.disabled = closing;
    write(row.close, closing ? "Selling…" : "Close");
    clearTimeout(row.closingTimer);
    if (closing) row.closingTimer = setTimeout(() => this.markClosing(id, false), CLOSING_SECONDS * 1000);
  }

  /** What a position is valued at: its token's newest price, or its own last fill's while that is the newer one. */
  mark(position) {
    const known = this.prices.get(position.tokenAddress);
    const filledAt = Date.parse(position.lastFillTime);
    if (known && known.at > filledAt) return known;
    return { price: position.lastFillPrice, usd: null, source: "its last fill", at: filledAt, isFill: true };
  }

  /** Value, cost and profit of all rows at their marks; SOL. */
  totals() {
    const totals = { count: this.rows.size, value: 0, unrealised: 0, cost: 0, unpriced: 0, newest: 0, oldest: Infinity, stale: 0 };
    const now = Date.now();
    const mints = new Set();
    for (const { position } of this.rows.values()) {
      const mark = this.mark(position);
      const worth = mark.price * position.remainingAmount;
      totals.value += worth;
      totals.cost += position.remainingCostSol;
      totals.unrealised += worth - position.remainingCostSol;
      if (!mark.isFill) mints.add(position.tokenAddress);
      else if (now - mark.at > STALE_SECONDS * 1000) totals.unpriced += 1;
    }
    for (const mint of mints) {
      const { at } = this.prices.get(mint);
      totals.newest = Math.max(totals.newest, at);
      totals.oldest = Math.min(totals.oldest, at);
      if (now - at > STALE_SECONDS * 1000) totals.stale += 1;
    }
    return totals;
  }

  figures(position) {
    const { price: at } = this.mark(position);
    const worth = at * position.remainingAmount;
    const profit = worth - position.remainingCostSol + position.realizedProfitSol;
    return {
      price: at,
      worth,
      profit,
      profitUsd: this.solUsd === null ? null : profit * this.solUsd,
      change: ((at - position.purchasePrice) / position.purchasePrice) * 100,
      room: position.stopLossPrice === null ? null : ((at - position.stopLossPrice) / at) * 100,
    };
  }

  makeRow(position) {
    const cell = (name = "") => el("td", { class: name });
    const cells = {
      token: el("th", { scope: "row" }), agent: cell("agent"), age: cell("num"), amount: cell("num"),
      average: cell("num"), price: cell("num"), change: cell("num"), money: cell("num"), stop: cell("stop"),
      profit: el("span", { class: "strong" }), usd: el("span", { class: "second" }),
      name: el("span"), done: el("span", { class: "second" }), held: el("span"), left: el("span", { class: "second" }),
    };
    cells.money.append(cells.profit, cells.usd);
    cells.agent.append(cells.name, cells.done);
    cells.amount.append(cells.held, cells.left);
    const mark = el("i");
    const average = el("b");
    cells.bar = el("span", { class: "bar-track", "aria-hidden": "true" }, average, mark);
    cells.level = el("span", { class: "level" });
    cells.room = el("span", { class: "room" });
    cells.stop.append(el("span", { class: "stop-text" }, cells.level, cells.room), cells.bar);
    cells.mark = mark;
    cells.averageMark = average;
    const row = { position, cells, moved: "", close: null };
    const element = el("tr", { id: `p-${position.id}` }, cells.token, cells.agent, cells.age, cells.amount, cells.average,
      cells.price, cells.change, cells.money, cells.stop);
    const last = el("td", { class: "act" });
    if (this.options.mayClose) {
      row.close = el("button", { type: "button", class: "small plain", onclick: () => this.options.onClose(row.position) }, "Close");
      attribute(row.close, "aria-label", `Close ${position.tokenSymbol}`);
      last.append(row.close);
    }
    element.append(last);
    row.element = element;
    return row;
  }

  paint(row) {
    const { position, cells } = row;
    const figures = this.figures(position);
    const agent = this.agents.get(position.agentId) ?? short(position.agentId);
    if (!cells.token.firstChild) {
      cells.token.append(opener(position.id, position.tokenSymbol), el("span", { class: "mint", title: position.tokenAddress }, short(position.tokenAddress)));
    }
    write(cells.name, agent);
    write(cells.done, done(position, this.levels[position.agentId]));
    attribute(cells.agent, "title", agent);
    write(cells.held, amount(position.remainingAmount));
    write(cells.left, left(position));
    attribute(cells.amount, "title", held(position));
    write(cells.average, price(position.purchasePrice));
    attribute(cells.average, "title", exact(position.purchasePrice, "SOL"));
    write(cells.price, price(figures.price));
    write(cells.change, percent(figures.change));
    cells.change.className = `num ${tone(figures.change)}`;
    write(cells.profit, sol(figures.profit, true));
    cells.profit.className = `strong ${tone(figures.profit)}`;
    attribute(cells.money, "title", `${exact(figures.profit, "SOL")}; invested ${exact(position.totalInvestedSol, "SOL")}`);
    write(cells.usd, usd(figures.profitUsd, true));
    this.paintStop(row, figures);
    this.paintAges(row);
    if (row.moved) {
      flash(cells.price, row.moved);
      row.moved = "";
    }
  }

  /** A track from the stop (left) to the peak (right), with the average as a tick and the price as the mark. */
  paintStop(row, figures) {
    const { position, cells } = row;
    const stop = position.stopLossPrice;
    if (stop === null) {
      write(cells.level, "no stop");
      write(cells.room, "");
      cells.bar.hidden = true;
      return;
    }
    cells.bar.hidden = false;
    const top = Math.max(position.peakPrice ?? 0, figures.price, position.purchasePrice);
    const place = (value) => `${Math.min(100, Math.max(0, ((value - stop) / (top - stop || 1)) * 100)).toFixed(1)}%`;
    write(cells.level, price(stop));
    write(cells.room, figures.room < 0 ? "passed" : percent(figures.room).replace("+", ""));
    attribute(cells.stop, "title", `Stop ${exact(stop, "SOL")} (${percent(position.currentStopLossPercentage)} of the average)`);
    cells.averageMark.style.left = place(position.purchasePrice);
    cells.mark.style.left = place(figures.price);
    const first = (position.purchasePrice - stop) / position.purchasePrice;
    const near = figures.room !== null && figures.room / 100 < Math.max(first * NEAR_STOP, 0.005);
    cells.stop.classList.toggle("near", near);
  }

  paintAges(row) {
    const { position, cells } = row;
    write(cells.age, duration((Date.now() - new Date(position.createdAt)) / 1000));
    attribute(cells.age, "title", `Opened ${time(position.createdAt)} · ${utc(position.createdAt)}`);
    const mark = this.mark(position);
    const seconds = (Date.now() - mark.at) / 1000;
    cells.price.classList.toggle("stale", seconds > STALE_SECONDS);
    if (seconds > STALE_SECONDS) attribute(cells.price, "data-age", `${duration(seconds)} old`);
    const told = mark.isFill ? "no price since" : usd(mark.usd);
    attribute(cells.price, "title", `${exact(mark.price, "SOL")}, ${told}; ${mark.source}, ${duration(seconds)} ago`);
  }

  sortBy(key) {
    this.order = { key, down: this.order.key === key ? !this.order.down : !["symbol", "agent"].includes(key) };
    this.showOrder();
    this.arrange();
  }

  showOrder() {
    for (const head of document.querySelectorAll("#positions th[data-sort]")) {
      if (head.dataset.sort === this.order.key) head.setAttribute("aria-sort", this.order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  sortValue(row) {
    const { position } = row;
    const figures = this.figures(position);
    return {
      symbol: position.tokenSymbol.toLowerCase(),
      agent: (this.agents.get(position.agentId) ?? "").toLowerCase(),
      age: position.createdAt,
      amount: position.remainingAmount,
      change: figures.change,
      profit: figures.profit,
      stop: figures.room ?? Infinity,
    }[this.order.key];
  }

  arrange() {
    const sign = this.order.down ? -1 : 1;
    const rows = [...this.rows.values()].map((row) => [this.sortValue(row), row]);
    rows.sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : x.position.id < y.position.id ? -1 : 1));
    let cursor = this.body.firstElementChild;
    for (const [, row] of rows) {
      while (cursor?.classList.contains("leaving")) cursor = cursor.nextElementSibling;
      if (cursor === row.element) cursor = cursor.nextElementSibling;
      else this.body.insertBefore(row.element, cursor);
      row.element.hidden = this.filter !== "" && !this.matches(row);
    }
    this.count();
  }

  matches({ position }) {
    const text = `${position.tokenSymbol} ${position.tokenAddress} ${this.agents.get(position.agentId) ?? ""}`;
    return text.toLowerCase().includes(this.filter);
  }

  count() {
    const total = this.rows.size;
    const shown = this.filter ? [...this.rows.values()].filter((row) => !row.element.hidden).length : total;
    write(byId("positions-count"), total === 0 ? "" : shown === total ? String(total) : `${shown} of ${total}`);
    byId("positions-empty").hidden = total > 0;
  }
}
