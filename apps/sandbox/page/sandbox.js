// The sandbox page: one event stream in, control requests out. No library, no build step.
"use strict";

const FAULTS = [
  { kind: "latency", label: "Slow", what: "answers slowly", options: { latency_ms: 1500 } },
  { kind: "rate_limit", label: "429", what: "answers 429, too many requests", options: {} },
  { kind: "server_error", label: "5xx", what: "answers 503", options: { status: 503 } },
  { kind: "hang", label: "Hang", what: "never answers", options: {} },
  { kind: "null_price", label: "Null", what: "sends null prices", options: {} },
  { kind: "missing_price", label: "Gone", what: "leaves prices out", options: {} },
  { kind: "absurd_price", label: "×10", what: "sends absurd prices", options: { factor: 10 } },
  { kind: "stale_price", label: "Old", what: "sends old prices", options: { age_seconds: 60 } },
];
/** Faults of sources that tell no prices. */
const WHOLE_ANSWERS = ["latency", "rate_limit", "server_error", "hang"];
const SOURCES = [
  { source: "jupiter_quote", label: "Jupiter quotes" },
  { source: "jupiter_order", label: "Jupiter orders", kinds: WHOLE_ANSWERS },
  { source: "jupiter_execute", label: "Jupiter execute", kinds: WHOLE_ANSWERS },
  { source: "jupiter_price", label: "Jupiter prices" },
  { source: "jupiter_tokens", label: "Jupiter tokens" },
  { source: "dexscreener", label: "DexScreener" },
  { source: "pyth", label: "Pyth" },
];
const OUTCOMES = {
  created: ["accepted", "good-outcome"],
  duplicate: ["duplicate", ""],
  rejected: ["rejected", "bad-outcome"],
  unauthorized: ["key refused", "bad-outcome"],
  rate_limited: ["slowed down", "warn-outcome"],
  failed: ["server error", "bad-outcome"],
  unreachable: ["unreachable", "bad-outcome"],
};
const STATUSES = {
  posting: "posting",
  paused: "paused",
  waiting_for_key: "waiting for a key",
  waiting_for_desk: "waiting for the desk",
  no_token: "no token to call",
  backing_off: "backing off",
};
const INTERVALS = [1, 2, 4, 8, 15, 30, 60];
const HISTORY = 360;

const byId = (id) => document.getElementById(id);
const cards = new Map();
const history = new Map();
let state = null;

// Numbers

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** Writes a small price with its leading zeros counted: 0.0000160548 becomes 0.0₄1605. */
function price(value) {
  if (!(value > 0)) return "0";
  if (value >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 2 });
  if (value >= 0.01) return Number(value.toPrecision(4)).toString();
  const zeros = Math.floor(-Math.log10(value) + 1e-12);
  const digits = value.toExponential(3).split("e")[0].replace(".", "");
  if (zeros < 3) return "0." + "0".repeat(zeros) + digits;
  return "0.0" + String(zeros).split("").map((digit) => SUBSCRIPTS[digit]).join("") + digits;
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const dollars = (value) => "$" + compact.format(value);
const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(Math.abs(value) >= 100 ? 0 : 1) + " %";
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

// Requests

async function send(method, path, body) {
  try {
    const response = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message || response.statusText);
    return answer;
  } catch (error) {
    toast(error.message, true);
    return null;
  }
}

function toast(text, failed = false) {
  const note = document.createElement("div");
  note.textContent = text;
  note.className = failed ? "failed" : "";
  byId("toasts").append(note);
  setTimeout(() => note.remove(), failed ? 6000 : 2600);
}

async function play(scenario, target, label) {
  const answer = await send("POST", "/control/scenarios", { scenario, ...target });
  if (!answer) return;
  const change = answer.started.length === 1 ? answer.started[0].change_percent : null;
  toast(`${label}: ${scenario}${change === null ? "" : " " + signed(change)}`);
}

/** A token that is delisted has no price and no route anywhere: the same fault at every source, for it alone. */
const delistings = (mint) =>
  state.faults.filter((fault) => fault.kind === "delisted" && fault.mints.length === 1 && fault.mints[0] === mint);

async function toggleListing(mint, label) {
  const active = delistings(mint);
  if (active.length) {
    for (const fault of active) await send("DELETE", `/control/faults/${fault.id}`);
    toast(`${label} is listed again`);
  } else if (await send("POST", "/control/faults", { source: "all", kind: "delisted", mints: [mint] })) {
    toast(`${label} is delisted: no price, no buyer`);
  }
}

/** Shows what a token does, or that it is gone; `button` offers the other. */
function renderListing(token, badge, button) {
  const gone = delistings(token.mint).length > 0;
  badge.textContent = badge.dataset.scenario = gone ? "delisted" : token.scenario;
  const plays = state.playing.find((one) => one.mint === token.mint);
  badge.toggleAttribute("data-playing", Boolean(plays) && !gone);
  if (plays && !gone) badge.textContent = plays.title;
  badge.title = badge.textContent;
  button.textContent = gone ? "Relist" : "Delist";
  button.setAttribute("aria-label", `${button.textContent} ${token.symbol}`);
}

// Charts

function draw(canvas, points) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || points.length < 2) return;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const styles = getComputedStyle(document.documentElement);
  const first = points[0];
  const last = points[points.length - 1];
  const color = styles.getPropertyValue(last >= first ? "--up" : "--down").trim();
  let low = Math.min(...points);
  let high = Math.max(...points);
  const least = (low + high) * 0.004; // a still price is a line in the middle, not noise blown up
  if (high - low < least) { low -= least / 2; high += least / 2; }
  const right = width - 6;
  const x = (index) => right - (points.length - 1 - index) * (right / (HISTORY - 1));
  const y = (value) => height - 6 - ((value - low) / (high - low)) * (height - 12);

  pen.setLineDash([3, 4]);
  pen.strokeStyle = styles.getPropertyValue("--line").trim();
  pen.beginPath();
  pen.moveTo(0, y(first));
  pen.lineTo(width, y(first));
  pen.stroke();
  pen.setLineDash([]);

  pen.beginPath();
  points.forEach((value, index) => (index ? pen.lineTo(x(index), y(value)) : pen.moveTo(x(index), y(value))));
  pen.strokeStyle = color;
  pen.lineWidth = 1.8;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(right, height);
  pen.lineTo(x(0), height);
  const shade = pen.createLinearGradient(0, 0, 0, height);
  shade.addColorStop(0, color + "3d");
  shade.addColorStop(1, color + "00");
  pen.fillStyle = shade;
  pen.fill();

  pen.beginPath();
  pen.arc(right, y(last), 3, 0, Math.PI * 2);
  pen.fillStyle = color;
  pen.fill();
}

// Rendering

function makeCard(token) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  card.querySelector("img").src = `/icons/${token.mint}.svg`;
  card.querySelector("strong").textContent = token.symbol;
  card.title = token.mint;
  for (const button of card.querySelectorAll("[data-scenario]")) {
    button.setAttribute("aria-label", `${button.textContent} ${token.symbol}`);
    button.addEventListener("click", () => play(button.dataset.scenario, { mint: token.mint }, token.symbol));
  }
  const delist = card.querySelector("[data-delist]");
  delist.addEventListener("click", () => toggleListing(token.mint, token.symbol));
  byId("tokens").append(card);
  const parts = {
    card,
    delist,
    name: card.querySelector(".names span"),
    badge: card.querySelector(".badge"),
    price: card.querySelector(".price b"),
    change: card.querySelector(".change"),
    canvas: card.querySelector("canvas"),
    sol: card.querySelector('[data-field="sol"]'),
    liquidity: card.querySelector('[data-field="liquidity"]'),
    cap: card.querySelector('[data-field="cap"]'),
  };
  cards.set(token.mint, parts);
  return parts;
}

function renderToken(token) {
  const parts = cards.get(token.mint) || makeCard(token);
  const points = history.get(token.mint);
  const now = Number(token.price_sol);
  const change = points.length ? (now / points[0] - 1) * 100 : 0;
  renderListing(token, parts.badge, parts.delist);
  parts.name.textContent = state.held.includes(token.mint) ? `held · ${token.name}` : token.name;
  parts.price.textContent = "$" + price(token.price_usd);
  parts.change.textContent = signed(change);
  parts.change.className = "change " + (change >= 0 ? "up" : "down");
  parts.sol.textContent = price(now) + " SOL";
  parts.liquidity.textContent = dollars(token.liquidity_usd);
  parts.cap.textContent = dollars(token.market_cap_usd);
  draw(parts.canvas, points);
  return change;
}

function renderAdded(tokens, total) {
  byId("added").hidden = tokens.length === 0;
  byId("added-note").textContent = total > tokens.length ? `The newest ${tokens.length} of ${total}.` : "";
  const rows = byId("added-rows");
  while (rows.children.length > tokens.length) rows.lastChild.remove();
  tokens.forEach((token, index) => {
    const row = rows.children[index] || makeAddedRow(rows);
    row.dataset.mint = token.mint;
    row.dataset.symbol = token.symbol;
    const [symbol, sol, liquidity, scenario] = row.cells;
    symbol.textContent = token.symbol;
    symbol.title = token.mint;
    sol.textContent = price(Number(token.price_sol));
    liquidity.textContent = dollars(token.liquidity_usd);
    renderListing(token, scenario.firstChild, row.cells[4].lastChild);
  });
}

function makeAddedRow(rows) {
  const row = rows.insertRow();
  for (let column = 0; column < 5; column += 1) row.insertCell();
  row.cells[1].className = row.cells[2].className = "num";
  row.cells[3].append(Object.assign(document.createElement("span"), { className: "badge" }));
  for (const scenario of ["still", "calm", "pump", "gap", "crash", "rug"]) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: scenario });
    button.addEventListener("click", () => play(scenario, { mint: row.dataset.mint }, row.dataset.symbol));
    row.cells[4].append(button);
  }
  const delist = Object.assign(document.createElement("button"), { type: "button" });
  delist.addEventListener("click", () => toggleListing(row.dataset.mint, row.dataset.symbol));
  row.cells[4].append(delist);
  return row;
}

function renderSignals(signals) {
  const toggle = byId("signals-switch");
  toggle.setAttribute("aria-checked", signals.enabled);
  byId("signals-status").textContent = STATUSES[signals.status] || signals.status;
  byId("signals-url").textContent = signals.url;
  const select = byId("signals-interval");
  if (document.activeElement !== select) {
    if (![...select.options].some((option) => Number(option.value) === signals.interval_seconds)) {
      select.add(new Option(`${signals.interval_seconds} s`, signals.interval_seconds));
    }
    select.value = signals.interval_seconds;
  }
  byId("outcomes").replaceChildren(
    ...Object.entries(OUTCOMES)
      .filter(([outcome]) => outcome === "created" || signals.outcomes[outcome])
      .map(([outcome, [label, kind]]) => {
        const chip = Object.assign(document.createElement("li"), { className: kind, textContent: label });
        chip.append(Object.assign(document.createElement("b"), { textContent: signals.outcomes[outcome] }));
        return chip;
      }),
  );
  byId("recent").replaceChildren(...(signals.recent.length ? signals.recent.slice(0, 6).map(recentRow) : [emptyRow()]));
}

function recentRow(signal) {
  const row = document.createElement("li");
  const time = Object.assign(document.createElement("time"), { textContent: clock(signal.at) });
  const middle = document.createElement("div");
  const title = Object.assign(document.createElement("strong"), { textContent: `${signal.symbol} · ${signal.signal_type}` });
  const strength = Object.assign(document.createElement("span"), {
    className: "strength",
    textContent: "●".repeat(signal.strength) + "○".repeat(5 - signal.strength),
    title: `strength ${signal.strength} of 5`,
  });
  const reason = Object.assign(document.createElement("p"), { textContent: signal.reason, title: signal.reason });
  middle.append(title, strength, reason);
  const label = (OUTCOMES[signal.outcome] || [signal.outcome])[0];
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: label });
  if (signal.status) tag.title = `HTTP ${signal.status}`;
  row.append(time, middle, tag);
  return row;
}

function emptyRow() {
  return Object.assign(document.createElement("li"), { className: "empty", textContent: "No signal posted yet." });
}

// Webhooks

function renderWebhooks(webhooks) {
  byId("webhooks-total").textContent = webhooks.total.toLocaleString("en");
  const none = Object.assign(document.createElement("li"), { className: "empty", textContent: "None came yet." });
  byId("webhooks").replaceChildren(...(webhooks.received.length ? webhooks.received.map(webhookRow) : [none]));
}

function webhookRow(webhook) {
  const row = document.createElement("li");
  const time = Object.assign(document.createElement("time"), { textContent: clock(webhook.at) });
  const middle = document.createElement("div");
  const title = Object.assign(document.createElement("strong"), { textContent: webhook.type || "unreadable" });
  const summary = Object.assign(document.createElement("p"), { textContent: webhook.summary || webhook.id, title: webhook.id });
  middle.append(title, summary);
  const word = webhook.verified ? (webhook.repeated ? "repeated" : "verified") : "bad signature";
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: word });
  tag.classList.add(webhook.verified ? (webhook.repeated ? "warn-outcome" : "good-outcome") : "bad-outcome");
  row.append(time, middle, tag);
  return row;
}

function makeFaults() {
  const table = byId("faults");
  const head = table.createTHead().insertRow();
  head.append(document.createElement("th"));
  for (const fault of FAULTS) {
    head.append(Object.assign(document.createElement("th"), { scope: "col", textContent: fault.label, title: fault.what }));
  }
  const body = table.createTBody();
  for (const { source, label, kinds } of SOURCES) {
    const row = body.insertRow();
    row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: label }));
    for (const fault of FAULTS) {
      const place = row.insertCell();
      if (kinds && !kinds.includes(fault.kind)) continue;
      const cell = Object.assign(document.createElement("button"), { type: "button", title: `${label} ${fault.what}` });
      cell.setAttribute("role", "switch");
      cell.setAttribute("aria-checked", "false");
      cell.setAttribute("aria-label", `${label} ${fault.what}`);
      cell.dataset.fault = `${source} ${fault.kind}`;
      cell.addEventListener("click", () => toggleFault(source, fault, label));
      place.append(cell);
    }
  }
}

async function toggleFault(source, fault, label) {
  const active = state.faults.filter((one) => one.source === source && one.kind === fault.kind);
  if (active.length) {
    for (const one of active) await send("DELETE", `/control/faults/${one.id}`);
    toast(`${label}: well again`);
  } else if (await send("POST", "/control/faults", { source, kind: fault.kind, ...fault.options })) {
    toast(`${label} ${fault.what}`);
  }
}

function renderFaults(faults) {
  const hits = new Map();
  for (const fault of faults) {
    const key = `${fault.source} ${fault.kind}`;
    hits.set(key, (hits.get(key) || 0) + fault.hits);
  }
  for (const cell of byId("faults").querySelectorAll("[data-fault]")) {
    const on = hits.has(cell.dataset.fault);
    cell.setAttribute("aria-checked", on);
    cell.textContent = on ? compact.format(hits.get(cell.dataset.fault)) : "";
  }
  byId("faults-off").disabled = faults.length === 0;
}

function render() {
  const demo = state.tokens.filter((token) => token.is_demo);
  const changes = demo.map(renderToken);
  renderAdded(state.tokens.filter((token) => !token.is_demo), state.added_total);
  renderSignals(state.signals);
  renderWebhooks(state.webhooks);
  renderFaults(state.faults);
  renderChain(state.chain);
  renderCharts();
  byId("sol-usd").textContent = "$" + state.sol_usd.toFixed(2);
  byId("rising").textContent = changes.filter((change) => change > 0).length;
  byId("falling").textContent = changes.filter((change) => change < 0).length;
  byId("seed").textContent = state.seed;
  byId("tick").textContent = state.tick.toLocaleString("en");
  byId("autonomous").setAttribute("aria-checked", state.autonomous);
  const minutes = (HISTORY * state.tick_ms) / 60000;
  byId("span").textContent = minutes >= 1 ? `${Number(minutes.toFixed(1))} minutes` : `${Math.round(minutes * 60)} seconds`;
}

function remember(next) {
  const fresh = !state || next.tick !== state.tick;
  state = next;
  for (const token of next.tokens.filter((one) => one.is_demo)) {
    const points = history.get(token.mint) || [];
    if (fresh || !points.length) points.push(Number(token.price_sol));
    if (points.length > HISTORY) points.splice(0, points.length - HISTORY);
    history.set(token.mint, points);
  }
}


// The stream

function listen() {
  const stream = new EventSource("/control/stream");
  stream.addEventListener("state", (event) => {
    const opened = JSON.parse(event.data);
    history.clear();
    for (const [mint, points] of Object.entries(opened.history)) history.set(mint, points);
    byId("tokens").replaceChildren();
    cards.clear();
    state = null;
    remember(opened);
    render();
    byId("offline").hidden = true;
  });
  stream.addEventListener("move", (event) => {
    remember(JSON.parse(event.data));
    if (!document.hidden) render();
    byId("pulse").classList.add("on");
    setTimeout(() => byId("pulse").classList.remove("on"), 120);
  });
  stream.addEventListener("error", () => {
    byId("offline").hidden = false;
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

// Controls

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if (state) render();
}

function start() {
  const remembered = localStorage.getItem("sandbox-theme");
  setTheme(remembered || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"));
  byId("theme").addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    localStorage.setItem("sandbox-theme", theme);
    setTheme(theme);
  });
  for (const button of document.querySelectorAll("[data-all]")) {
    button.addEventListener("click", () => play(button.dataset.all, { all: true }, "Every demo token"));
  }
  byId("reset").addEventListener("click", async () => {
    if (await send("POST", "/control/reset")) toast("Every token is back at its launch price");
  });
  byId("autonomous").addEventListener("click", async () => {
    await send("POST", "/control/market", { autonomous: !state.autonomous });
    });
  byId("signals-switch").addEventListener("click", async () => {
    await send("POST", "/control/signals", { enabled: !state.signals.enabled });
    });
  const interval = byId("signals-interval");
  for (const seconds of INTERVALS) interval.add(new Option(`${seconds} s`, seconds));
  interval.addEventListener("change", async () => {
    await send("POST", "/control/signals", { interval_seconds: Number(interval.value) });
    interval.blur();
  });
  byId("faults-off").addEventListener("click", async () => {
    if (await send("DELETE", "/control/faults")) toast("All faults are off");
    });
  for (const [name, prefix] of [["Jupiter", "jupiter"], ["DexScreener", "dexscreener"], ["Pyth Hermes", "pyth"]]) {
    const row = document.createElement("li");
    const url = `${location.origin}/${prefix}`;
    row.append(name, Object.assign(document.createElement("code"), { textContent: url }));
    byId("bases").append(row);
  }
  makeFaults();
  startChain();
  addEventListener("resize", () => state && render());
  listen();
}

addEventListener("DOMContentLoaded", start);
