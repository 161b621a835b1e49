// What an operator must know of exits: the header's figure, and above the tables whatever holds sales back or is stuck.

import { attribute, byId, el, write } from "./dom.js";
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
    const notes = [open && `oldest ${duration(age)}`, exits.inWork && `${exits.inWork} in work`];
    write(byId("f-exits-under"), notes.filter(Boolean).join(" · ") || "nothing due");
    attribute(byId("f-exits-under"), "title", `${exits.due} due, ${exits.inWork} in work`);
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

/** One line per token, rule and cause: what fails mostly fails for every agent that holds the token. */
function stuck(exits) {
  if (!exits.stuckCount) return null;
  const more = exits.stuckCount - exits.stuck.reduce((sum, kind) => sum + kind.count, 0);
  return el("div", { class: "alarm" },
    el("strong", {}, `${plural(exits.stuckCount, "exit")} ${exits.stuckCount === 1 ? "does" : "do"} not get done`),
    el("ul", {}, ...exits.stuck.map((kind) =>
      el("li", {}, el("b", { title: kind.mint }, kind.tokenSymbol || kind.mint), kind.agentName === null ? ` in ${kind.count} positions` : ` of ${kind.agentName}`,
        ` · ${kind.rule}: ${kind.why}${kind.attempts ? `, ${plural(kind.attempts, "attempt")} in ` : " for "}`, aged(kind.since))),
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
