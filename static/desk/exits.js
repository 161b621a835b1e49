// What an operator must know of exits: the header's figure, and above the tables whatever holds sales back or is stuck.

import { byId, el, write } from "./dom.js";
import { duration, utc } from "./format.js";

const LATE_SECONDS = 5;

const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const since = (text) => (Date.now() - new Date(text)) / 1000;
const aged = (text) => el("time", { datetime: text, title: utc(text) }, duration(since(text)));

export class Exits {
  constructor() {
    this.summary = null;
    this.shown = "";
  }

  show(summary) {
    this.summary = summary;
    this.tick();
    const { exits, tradingState } = summary;
    const told = JSON.stringify([exits.stuck, exits.unwatchable, exits.heldBack, tradingState]);
    if (told !== this.shown) {
      this.shown = told;
      const parts = [halt(tradingState, exits), stuck(exits), unwatchable(exits)].filter(Boolean);
      byId("alarms").replaceChildren(...parts);
      byId("alarms").hidden = parts.length === 0;
    }
  }

  /** Repaints what grows old by itself; called each second. */
  tick() {
    if (!this.summary) return;
    const { exits } = this.summary;
    const open = exits.due + exits.inWork;
    const age = exits.oldestAt === null ? null : since(exits.oldestAt);
    write(byId("f-exits"), String(open));
    const notes = [exits.due && `${exits.due} due`, exits.inWork && `${exits.inWork} in work`, open && `oldest ${duration(age)}`];
    write(byId("f-exits-under"), notes.filter(Boolean).join(" · ") || "nothing due");
    byId("f-exits").classList.toggle("loss", exits.stuckCount + exits.heldBack > 0);
    byId("f-exits").classList.toggle("stale", exits.stuckCount + exits.heldBack === 0 && age > LATE_SECONDS);
    for (const time of document.querySelectorAll("#alarms time")) write(time, duration(since(time.dateTime)));
  }
}

/** Exits off, for the desk or for some agents: nothing is sold, and that must not be overlooked. */
function halt(state, exits) {
  const desk = state.state === "halted" && !state.exitsEnabled;
  if (!desk && !state.agentsExitsOff) return null;
  const whose = desk ? "" : ` for ${plural(state.agentsExitsOff, "agent")}`;
  const waits = exits.heldBack ? `${plural(exits.heldBack, "fired exit")} ${exits.heldBack === 1 ? "waits" : "wait"} to be sold; what` : "What";
  return el("div", { class: "alarm off", role: "alert" },
    el("strong", {}, `Exits are off${whose}: nothing is sold, not even by a stop loss`),
    el("span", {}, `${waits} fires stays due and is sold as soon as exits are on again.`));
}

function stuck(exits) {
  if (!exits.stuckCount) return null;
  const more = exits.stuckCount - exits.stuck.length;
  const head = exits.stuckCount === 1 ? "1 exit does not get done" : `${exits.stuckCount} exits do not get done`;
  return el("div", { class: "alarm" }, el("strong", {}, head),
    el("ul", {}, ...exits.stuck.map((exit) =>
      el("li", {}, el("b", {}, exit.tokenSymbol || "?"), ` of ${exit.agentName} · ${exit.rule}: ${exit.why}, ${plural(exit.attempts, "attempt")} in `, aged(exit.since))),
      more > 0 ? el("li", { class: "muted" }, `and ${more} more`) : null));
}

function unwatchable({ unwatchable: tokens }) {
  if (!tokens.length) return null;
  return el("div", { class: "alarm" },
    el("strong", {}, `No rule can fire for ${plural(tokens.length, "token")} without a price`),
    el("ul", {}, ...tokens.slice(0, 5).map((token) =>
      el("li", {}, el("b", { title: token.mint }, token.symbol || token.mint), ` in ${plural(token.positions, "position")}: `,
        ...(token.priceAt === null ? ["never had a price"] : ["no price for ", aged(token.priceAt)]))),
      tokens.length > 5 ? el("li", { class: "muted" }, `and ${tokens.length - 5} more`) : null));
}
