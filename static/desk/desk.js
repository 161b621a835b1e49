// The live desk: joins the feed to the tables, and the buttons to the API. No library, no build step.

import { ask, byId, el, send, toast, write } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Exits } from "./exits.js";
import { Feed } from "./feed.js";
import { amount, exact, percent, price, sol } from "./format.js";
import { Header, Signals, Trades } from "./panels.js";
import { watchPlace } from "./place.js";
import { Positions } from "./positions.js";

const SOL_MINT = "So11111111111111111111111111111111111111112";
const options = JSON.parse(byId("options").textContent);
const CONNECTION = {
  connecting: "Connecting…",
  live: "Live",
  stale: "Delayed: refreshed every few seconds",
  offline: "Offline, reconnecting…",
  "signed-out": "Signed out",
};
const SWITCHES = {
  active: ["Resume trading", "Entries and exits go on for every agent.", "Resume", "good"],
  reducing: ["Reduce only", "No new entries. Open positions are watched and sold by their rules.", "Reduce", "warn"],
  halted: ["Halt trading", "Nothing is bought any more, from this moment on.", "Halt", "bad"],
};

watchPlace();
const header = new Header();
const exits = new Exits();
const signals = new Signals();
const trades = new Trades();
const positions = new Positions({ mayClose: options.mayClose, onClose: closePosition });

const drawer = new Drawer({ positions, mayClose: options.mayClose, onClose: closePosition });

function refresh() {
  header.show(positions.totals());
  drawer.tick();
}

function showPanel(data) {
  header.summary = data.summary;
  if (positions.solUsd === null) positions.solUsd = data.summary.solUsd;
  signals.show(data.signals);
  trades.show(data.closedTrades, data.summary.exits.closedToday);
  exits.show(data.summary);
  refresh();
}

/** Says a partial sale or a DCA as it happens; the row shows the rest. */
function tellChange(before, after) {
  if (!before) return;
  const symbol = after.tokenSymbol || "?";
  if (after.takeProfitLevelsHit > before.takeProfitLevelsHit) {
    const profit = after.realizedProfitSol - before.realizedProfitSol;
    const sold = amount(before.remainingAmount - after.remainingAmount);
    toast(`${symbol} took profit: sold ${sold}, ${sol(profit, true)} SOL`, profit >= 0 ? "gain" : "loss");
  }
  if (after.dcaCount > before.dcaCount) {
    const spent = sol(after.totalInvestedSol - before.totalInvestedSol);
    toast(`${symbol} bought more for ${spent} SOL: average now ${price(after.purchasePrice)}`);
  }
}

const onDelta = {
  position_update(data) {
    if (data.eventType === "position_closed") {
      if (positions.remove(data.positionId)) header.total -= 1;
      drawer.changed(data.positionId);
    } else {
      if (data.eventType === "position_created") header.total += 1;
      if (!positions.levels[data.position.agentId]) positions.askForLevels();
      tellChange(positions.get(data.position.id), data.position);
      positions.put(data.position);
      drawer.changed(data.position.id);
    }
    refresh();
  },
  price_update_batch(data) {
    const solUpdate = positions.takePrices(data.updates, SOL_MINT);
    if (solUpdate) header.takeSolPrice(solUpdate);
    document.dispatchEvent(new CustomEvent("desk:prices", { detail: data.updates }));
    refresh();
  },
  trade_closed({ trade }) {
    const profit = Number(trade.profitLossSol);
    toast(`${trade.tokenSymbol} closed: ${sol(profit, true)} SOL (${percent(Number(trade.changePercent))})`, profit >= 0 ? "gain" : "loss");
  },
  agent_created: (data) => positions.agents.set(data.agentId, data.name),
  agent_updated(data) {
    positions.agents.set(data.agentId, data.name);
    positions.askForLevels();
    drawer.resynchronised();
  },
  desk_update: showPanel,
  error: (data) => toast(data.message, "bad"),
};

new Feed(options.socket, {
  snapshot(data) {
    header.total = data.totalPositions;
    positions.reset(data);
    positions.askForLevels();
    drawer.resynchronised();
    refresh();
  },
  delta: (kind, data) => onDelta[kind]?.(data),
  state(state) {
    byId("connection").dataset.state = state;
    const words = byId("connection").querySelector("span");
    if (state === "signed-out") words.replaceChildren(el("a", { href: options.signIn }, "Signed out: sign in"));
    else write(words, CONNECTION[state]);
    document.body.classList.toggle("disconnected", state !== "live");
  },
});

async function closePosition(position) {
  const figures = positions.figures(position);
  write(byId("close-question"), `Sell all ${position.tokenSymbol} of ${positions.agents.get(position.agentId) ?? "this agent"} now, at what the market gives?`);
  const facts = [
    ["Amount", `${amount(position.remainingAmount)} ${position.tokenSymbol}`, exact(position.remainingAmount, position.tokenSymbol)],
    ["Worth about", `${sol(figures.worth)} SOL`, exact(figures.worth, "SOL")],
    ["P/L", `${sol(figures.profit, true)} SOL (${percent(figures.change)})`, exact(figures.profit, "SOL")],
  ];
  byId("close-facts").replaceChildren(...facts.flatMap(([name, text, title]) => [el("dt", {}, name), el("dd", { title }, text)]));
  if (!(await ask(byId("close-dialog")))) return;
  positions.markClosing(position.id, true);
  try {
    await send("POST", `/desk/positions/${position.id}/close`, undefined, options.csrfCookie);
  } catch (error) {
    positions.markClosing(position.id, false);
    toast(error.message, "bad");
  }
}

async function switchTrading(state) {
  const [title, question, word, tone] = SWITCHES[state];
  write(byId("state-title"), title);
  write(byId("state-question"), question);
  byId("state-exits-row").hidden = state !== "halted";
  byId("state-exits").checked = true;
  byId("state-exits-off").hidden = true;
  byId("state-reason").value = "";
  byId("state-ok").className = tone;
  write(byId("state-ok"), word);
  if (!(await ask(byId("state-dialog")))) return;
  const body = { state, exitsEnabled: state !== "halted" || byId("state-exits").checked, reason: byId("state-reason").value };
  try {
    await send("PUT", "/api/v1/trading-state", body, options.csrfCookie);
    toast(`${title}: done.`);
  } catch (error) {
    toast(error.message, "bad");
  }
}

byId("switches").hidden = !options.maySwitch;
for (const button of document.querySelectorAll("#switches button")) {
  button.addEventListener("click", () => switchTrading(button.dataset.switch));
}
byId("state-exits").addEventListener("change", (event) => {
  byId("state-exits-off").hidden = event.target.checked;
});
byId("theme").addEventListener("click", window.switchTheme);
setInterval(() => {
  positions.tick();
  exits.tick();
  refresh();
}, 1000);
