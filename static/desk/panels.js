// What stands beside the positions: signals with their verdicts, closed trades, the header's figures.

import { attribute, byId, el, flash, write } from "./dom.js";
import { opener } from "./drawer.js";
import { age, duration, exact, percent, price, short, sol, time, tone, usd, utc } from "./format.js";

/** Panels come every five seconds at least; a poll later than that beyond its interval is missing. */
const LATE_POLL_SECONDS = 12;
const VERDICTS = ["executed", "skipped", "failed", "pending"];
const REASONS = {
  manual: ["by hand", "info"],
  stop_loss: ["stop loss", "bad"],
  stale_trade: ["stale trade", "warn"],
  take_profit: ["take profit", "good"],
  reset: ["wallet reset", ""],
  write_off: ["written off", "bad"],
  reversed: ["never on the chain", ""],
};
const STATES = { active: ["Active", "good"], reducing: ["Reducing", "warn"], halted: ["Halted", "bad"] };

const stamp = (text) => el("time", { datetime: text, title: utc(text) }, time(text));
/** SCREAMING_CODES as words. */
const words = (code) => code.toLowerCase().replaceAll("_", " ");

export class Signals {
  constructor() {
    this.list = byId("signals");
    this.items = new Map();
  }

  show(signals) {
    const first = this.items.size === 0;
    byId("signals-empty").hidden = signals.length > 0;
    const present = new Set(signals.map((signal) => signal.id));
    for (const [id, item] of this.items) {
      if (!present.has(id)) {
        item.element.remove();
        this.items.delete(id);
      }
    }
    for (const signal of [...signals].reverse()) {
      let item = this.items.get(signal.id);
      if (!item) {
        item = this.make(signal);
        this.items.set(signal.id, item);
        this.list.prepend(item.element);
        if (!first) flash(item.element, "flash-new");
      }
      this.paint(item, signal);
    }
  }

  make(signal) {
    const bar = el("span", { class: "verdicts", "aria-hidden": "true" }, ...VERDICTS.map((verdict) => el("i", { class: verdict })));
    const counts = el("span", { class: "counts" });
    const took = el("span", { class: "took muted" });
    const reasons = el("div", { class: "reasons", id: `reasons-${signal.id}`, hidden: true });
    const head = el(
      "button",
      { type: "button", class: "signal-head", "aria-expanded": "false", "aria-controls": reasons.id },
      el("span", { class: "signal-top" },
        el("strong", { title: signal.tokenAddress }, signal.symbol || short(signal.tokenAddress)),
        el("span", { class: "strength", title: `Strength ${signal.signalStrength} of 5` },
          el("span", { class: "hidden" }, `strength ${signal.signalStrength} of 5`),
          ...[1, 2, 3, 4, 5].map((level) => el("i", { class: level <= signal.signalStrength ? "on" : "", "aria-hidden": "true" }))),
        stamp(signal.createdAt)),
      el("span", { class: "signal-what muted" }, [signal.signalType, signal.source].filter(Boolean).join(" · ")),
      bar,
      el("span", { class: "signal-end" }, counts, took),
    );
    if (signal.activationReason) attribute(head, "title", signal.activationReason);
    const item = { element: el("li", { class: "signal" }, head, reasons), head, bar, counts, took, reasons, signal };
    head.addEventListener("click", () => this.toggle(item));
    return item;
  }

  paint(item, signal) {
    const before = item.signal;
    item.signal = signal;
    VERDICTS.forEach((verdict, index) => {
      item.bar.children[index].style.flexGrow = String(signal[verdict]);
    });
    const parts = VERDICTS.filter((verdict) => signal[verdict] > 0).map((verdict) => `${signal[verdict]} ${verdict}`);
    const waiting = signal.status === "done" ? "no agents" : "waiting…";
    write(item.counts, parts.join(" · ") || waiting);
    const milliseconds = signal.finishedAt ? new Date(signal.finishedAt) - new Date(signal.createdAt) : null;
    write(item.took, milliseconds === null ? "" : milliseconds < 10000 ? `${milliseconds}\u202fms` : duration(milliseconds / 1000));
    const changed = VERDICTS.some((verdict) => before[verdict] !== signal[verdict]);
    if (changed && !item.reasons.hidden) this.load(item);
  }

  toggle(item) {
    const open = item.reasons.hidden;
    item.reasons.hidden = !open;
    item.head.setAttribute("aria-expanded", String(open));
    if (open) this.load(item);
  }

  async load(item) {
    try {
      const answer = await fetch(`/desk/signals/${item.signal.id}`, { cache: "no-store" });
      if (!answer.ok) throw new Error();
      this.explain(item, (await answer.json()).executions);
    } catch {
      item.reasons.replaceChildren(el("p", { class: "muted" }, "The reasons could not be loaded."));
    }
  }

  /** Agents with the same verdict for the same reasons are one line. */
  explain(item, executions) {
    const groups = new Map();
    for (const execution of executions) {
      const reasons = execution.reasons.length ? execution.reasons : [execution.code].filter(Boolean);
      const key = `${execution.verdict} ${reasons.join(" ")}`;
      if (!groups.has(key)) groups.set(key, { verdict: execution.verdict, reasons, agents: [] });
      groups.get(key).agents.push(execution.agentName);
    }
    const rank = (group) => VERDICTS.indexOf(group.verdict);
    const lines = [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.agents.length - a.agents.length);
    item.reasons.replaceChildren(
      ...lines.map((group) => {
        const some = group.agents.slice(0, 6).join(", ");
        const more = group.agents.length > 6 ? ` and ${group.agents.length - 6} more` : "";
        return el("div", { class: `reason ${group.verdict}` },
          el("span", { class: "reason-what" }, el("b", {}, String(group.agents.length)), " ", group.verdict,
            group.reasons.length ? `: ${group.reasons.map(words).join(", ")}` : ""),
          el("span", { class: "muted", title: group.agents.join(", ") }, some + more));
      }),
    );
    if (!lines.length) item.reasons.append(el("p", { class: "muted" }, "No agent has a verdict yet."));
  }
}

export class Trades {
  constructor() {
    this.body = document.querySelector("#trades tbody");
    this.rows = new Map();
  }

  /** `today` sums up the trades closed since midnight UTC by what closed them. */
  show(trades, today) {
    const first = this.rows.size === 0;
    byId("trades-empty").hidden = trades.length > 0;
    byId("trades-note").replaceChildren(...today.map((total) => this.total(total)));
    const present = new Set(trades.map((trade) => trade.id));
    for (const [id, row] of this.rows) {
      if (!present.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    for (const trade of [...trades].reverse()) {
      if (this.rows.has(trade.id)) continue;
      const row = this.make(trade);
      this.rows.set(trade.id, row);
      this.body.prepend(row);
      if (!first) flash(row, trade.profitLossSol >= 0 ? "flash-up" : "flash-down");
    }
  }

  total({ reason, count, wins, profitSol }) {
    const [label, badge] = REASONS[reason] ?? [reason || "other", ""];
    return el("span", { class: "total", title: `Today: ${wins} of ${count} gained, ${exact(profitSol, "SOL")}` },
      el("span", { class: `badge ${badge}` }, `${label} ${count}`), " ", el("span", { class: tone(profitSol) }, sol(profitSol, true)));
  }

  make(trade) {
    const [label, badge] = REASONS[trade.closeReason] ?? [trade.closeReason ?? "–", ""];
    const number = (text, title, extra = "") => el("td", { class: `num ${extra}`, title }, text);
    const held = (new Date(trade.saleTime) - new Date(trade.purchaseTime)) / 1000;
    return el("tr", {},
      el("td", {}, stamp(trade.saleTime)),
      el("th", { scope: "row", title: trade.tokenAddress }, opener(trade.positionId, trade.tokenSymbol)),
      el("td", { class: "agent", title: trade.agentName }, trade.agentName),
      number(duration(held), `Bought ${utc(trade.purchaseTime)}`),
      number(price(trade.purchasePrice), exact(trade.purchasePrice, "SOL")),
      number(price(trade.salePrice), exact(trade.salePrice, "SOL")),
      number(percent(trade.changePercent), undefined, tone(trade.changePercent)),
      number(sol(trade.profitLossSol, true), exact(trade.profitLossSol, "SOL"), `strong ${tone(trade.profitLossSol)}`),
      number(usd(trade.profitLossUsd, true), "At SOL/USD of the sale"),
      el("td", {}, el("span", { class: `badge ${badge}` }, label)));
  }
}

/** A poll in full, for a tooltip. */
function polled({ tokens, trusted, doubted, missing, tookSeconds, source, plan, callLimit, callsLeft }) {
  const parts = [`${trusted} of ${tokens} tokens priced by ${source} (${plan}) in ${Math.round(tookSeconds * 1000)}\u202fms`];
  if (doubted) parts.push(`${doubted} in doubt`);
  if (missing) parts.push(`${missing} without a price`);
  parts.push(callLimit === null ? "calls without a limit" : `${callsLeft ?? "unknown"} of ${callLimit} calls left`);
  return parts.join("; ");
}

/** The row of figures at the top: what the server sums up, and what the page knows better because it is live. */
export class Header {
  constructor() {
    this.summary = null;
    this.total = 0;
    this.solUpdate = null;
  }

  takeSolPrice(update) {
    this.solUpdate = update;
  }

  get solUsd() {
    const updated = this.solUpdate ? new Date(this.solUpdate.timestamp) : null;
    const told = this.summary?.solUsdAt ? new Date(this.summary.solUsdAt) : null;
    if (updated && (!told || updated >= told)) return { value: this.solUpdate.priceUsd, at: updated, source: this.solUpdate.source };
    return { value: this.summary?.solUsd ?? null, at: told, source: this.summary?.solUsdSource ?? null };
  }

  show(totals) {
    const summary = this.summary;
    if (!summary) return;
    const complete = this.total <= totals.count;
    const value = complete ? totals.value : summary.valueSol;
    const unrealised = complete ? totals.unrealised : summary.unrealizedSol;
    const { value: rate, at, source } = this.solUsd;
    const inUsd = (amount) => (rate === null ? null : amount * rate);
    write(byId("f-open"), String(complete ? totals.count : summary.openPositions));
    write(byId("f-open-under"), totals.unpriced ? `${totals.unpriced} without a price` : "\u00a0");
    this.figure("f-value", sol(value), "SOL", usd(inUsd(value)));
    this.figure("f-unrealised", sol(unrealised, true), "SOL", `${usd(inUsd(unrealised), true)} · ${percent(totals.cost ? (unrealised / totals.cost) * 100 : 0)}`, unrealised);
    const wins = summary.closedToday ? `${summary.winsToday}/${summary.closedToday} won` : "nothing closed yet";
    this.figure("f-realised", sol(summary.realizedTodaySol, true), "SOL", `${usd(summary.realizedTodayUsd, true)} · ${wins}`, summary.realizedTodaySol);
    const rateAge = at ? (Date.now() - at) / 1000 : null;
    this.figure("f-sol", usd(rate), "", rateAge === null ? "no source has told it" : `${source}, ${age(rateAge)} ago`);
    byId("f-sol").classList.toggle("stale", rateAge === null || rateAge > 30);
    this.showPrices(totals);
    this.showState(summary.tradingState);
  }

  /** How old the oldest price is, as this page knows it, and how often the desk asks for them. */
  showPrices(totals) {
    const polling = this.summary.polling;
    const oldest = totals.newest ? (Date.now() - totals.oldest) / 1000 : null;
    const waited = polling?.polledAt ? (Date.now() - new Date(polling.polledAt)) / 1000 : null;
    const late = totals.count > 0 && waited !== null && waited > polling.intervalSeconds + LATE_POLL_SECONDS;
    const notes = [
      late && `not polled for ${duration(waited)}`,
      totals.stale > 0 && `${totals.stale} stale`,
      polling && `every ${age(polling.intervalSeconds)}`,
    ].filter(Boolean);
    this.figure("f-age", totals.count ? age(oldest) : "–", "", totals.count ? notes.join(" · ") || "\u00a0" : "nothing held");
    byId("f-age").classList.toggle("stale", late || totals.stale > 0);
    if (polling) attribute(byId("f-age").closest(".figure"), "title", polled(polling));
  }

  figure(id, text, unit, under, signed) {
    const element = byId(id);
    const whole = unit ? `${text} ${unit}` : text;
    if (element.textContent !== whole) {
      element.replaceChildren(text, ...(unit ? [" ", el("small", {}, unit)] : []));
    }
    if (signed !== undefined) {
      element.classList.toggle("gain", signed > 0);
      element.classList.toggle("loss", signed < 0);
    }
    write(byId(`${id}-under`), under);
  }

  showState(state) {
    const [word, badge] = STATES[state.state] ?? [state.state, ""];
    byId("state").dataset.state = state.state;
    write(byId("state-word"), word);
    byId("state-word").className = `badge ${badge}`;
    const notes = [];
    if (state.state === "halted") notes.push(state.exitsEnabled ? "exits on" : "exits off");
    if (state.reason) notes.push(state.reason);
    if (state.agentsSwitched) notes.push(`${state.agentsSwitched} agent${state.agentsSwitched > 1 ? "s" : ""} switched`);
    write(byId("state-under"), notes.join(" · ") || (state.state === "active" ? "entries and exits" : "\u00a0"));
    for (const button of document.querySelectorAll("#switches button")) button.hidden = button.dataset.switch === state.state;
  }
}
