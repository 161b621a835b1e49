// The chain: how it stands, its nodes and what they do wrong, the last transactions, the faucet. Reads the page's state.
"use strict";

const NODE_FAULTS = [
  { label: "Slow", what: "answers after 1.5 s", body: { kind: "latency", latency_ms: 1500 } },
  { label: "429", what: "answers 429, too many requests", body: { kind: "rate_limit" } },
  { label: "5xx", what: "answers 503", body: { kind: "server_error" } },
  { label: "HTML", what: "answers with a page of its proxy", body: { kind: "html" } },
  { label: "Drop", what: "drops the connection", body: { kind: "disconnect" } },
  { label: "Lost", what: "executes a transaction and never answers", body: { kind: "answer_lost" } },
  { label: "Unsent", what: "answers with a signature and sends nothing", body: { kind: "not_sent" } },
  { label: "Behind", what: "is 40 slots behind in everything", body: { kind: "behind", slots: 40 } },
  { label: "Lag", what: "tells no status of what landed", body: { kind: "status_lag" } },
  { label: "Denies", what: "never heard of any transaction", body: { kind: "lying", says: "nothing" } },
  { label: "Invents", what: "says that everything landed", body: { kind: "lying", says: "landed" } },
  { label: "Height", what: "tells a height 500 blocks too high", body: { kind: "wrong_height", blocks: 500 } },
  { label: "Expired", what: "gives out blockhashes that have expired", body: { kind: "expired_blockhash" } },
  { label: "Mute", what: "takes subscriptions and never notifies", body: { kind: "silent_socket" } },
];
const SWAP_FAULTS = [
  ["jupiter_order", "drained_wallet", "Drains the wallet", "the transaction to sign also pays somebody else"],
  ["jupiter_order", "swapped_destination", "Foreign destination", "what the swap buys goes to somebody else"],
  ["jupiter_order", "added_instruction", "Added instruction", "the transaction does something nobody asked for"],
  ["jupiter_order", "unknown_venue", "Unknown venue", "the swap goes over a venue the signer has not heard of"],
  ["jupiter_order", "replaced_fee_payer", "Foreign fee payer", "somebody else pays the fee and must sign too"],
  ["jupiter_order", "rfq_route", "Market maker's route", "a maker's signature is missing"],
  ["jupiter_order", "expired_blockhash", "Expired blockhash", "the transaction can land no more"],
  ["jupiter_execute", "answer_lost", "Answer lost", "it lands and nobody is told"],
  ["jupiter_execute", "error_after_landing", "Error after landing", "it lands and the answer is an error"],
  ["jupiter_execute", "early_answer", "Early answer", "the answer comes before it lands"],
  ["jupiter_execute", "late_landing", "Late landing", "it lands slots after the answer"],
  ["jupiter_execute", "false_failure", "False failure", "it lands and is said to have failed"],
  ["jupiter_execute", "false_success", "False success", "it never lands and is said to have"],
].map(([source, kind, label, what]) => ({ source, kind, label, what, options: {} }));
/** Slots after which no blockhash given out before is taken any more. */
const EVERY_BLOCKHASH = 160;
const nodeRows = new Map();

const isOfNode = (fault) => fault.source.startsWith("node_");
const isOfSwaps = (fault) => SWAP_FAULTS.some(({ source, kind }) => source === fault.source && kind === fault.kind);
const nodeName = (name) => name.replace("node_", "Node ");
const faultKey = (node, kind, says) => `${node} ${kind}${kind === "lying" ? " " + says : ""}`;
const short = (text) => `${text.slice(0, 4)}…${text.slice(-4)}`;
const element = (tag, properties) => Object.assign(document.createElement(tag), properties);

function makeNode(node) {
  const row = byId("node").content.firstElementChild.cloneNode(true);
  row.querySelector("strong").textContent = nodeName(node.name);
  row.querySelector("code").textContent = node.rpc;
  row.querySelector("code").title = `WebSocket ${node.websocket}`;
  byId("nodes").append(row);
  const parts = { badge: row.querySelector(".badge"), calls: row.querySelector("p") };
  nodeRows.set(node.name, parts);
  return parts;
}

function makeNodeFaults(nodes) {
  const table = byId("node-faults");
  const head = table.createTHead().insertRow();
  head.append(document.createElement("th"));
  for (const fault of NODE_FAULTS) head.append(element("th", { scope: "col", textContent: fault.label, title: fault.what }));
  const body = table.createTBody();
  for (const { name } of nodes) {
    const row = body.insertRow();
    row.append(element("th", { scope: "row", textContent: nodeName(name) }));
    for (const fault of NODE_FAULTS) {
      const words = `${nodeName(name)} ${fault.what}`;
      const cell = element("button", { type: "button", title: words });
      cell.setAttribute("role", "switch");
      cell.setAttribute("aria-label", words);
      cell.dataset.nodeFault = faultKey(name, fault.body.kind, fault.body.says);
      cell.addEventListener("click", () => toggleNodeFault(name, fault, cell.dataset.nodeFault));
      row.insertCell().append(cell);
    }
  }
}

function makeSwapFaults() {
  for (const fault of SWAP_FAULTS) {
    const where = fault.source === "jupiter_order" ? "/order: " : "/execute: ";
    const button = element("button", { type: "button", textContent: fault.label, title: where + fault.what });
    button.setAttribute("role", "switch");
    button.dataset.fault = `${fault.source} ${fault.kind}`;
    button.addEventListener("click", () => toggleFault(fault.source, fault, where));
    const item = document.createElement("li");
    item.append(button, document.createElement("b"));
    byId("swap-faults").append(item);
  }
}

function renderSwapFaults() {
  for (const item of byId("swap-faults").children) {
    const button = item.firstChild;
    const on = state.faults.filter((fault) => `${fault.source} ${fault.kind}` === button.dataset.fault);
    button.setAttribute("aria-checked", on.length > 0);
    item.lastChild.textContent = on.length ? compact.format(on.reduce((hits, fault) => hits + fault.hits, 0)) : "";
  }
}

async function toggleNodeFault(name, fault, key) {
  const active = state.faults.filter((one) => isOfNode(one) && faultKey(one.source, one.kind, one.says) === key);
  if (active.length) {
    for (const one of active) await send("DELETE", `/control/faults/${one.id}`);
    toast(`${nodeName(name)}: well again`);
  } else if (await send("POST", "/control/faults", { source: name, ...fault.body })) {
    toast(`${nodeName(name)} ${fault.what}`);
  }
}

function transactionRow(landed) {
  const row = document.createElement("tr");
  const cells = [
    ["time", clock(landed.time)],
    ["what", landed.what],
    ["", landed.payer.length > 12 ? short(landed.payer) : landed.payer, landed.payer],
    ["num", signedSol(Number(landed.sol))],
    ["num", landed.fee_lamports.toLocaleString("en")],
  ];
  for (const [className, textContent, title] of cells) row.append(element("td", { className, textContent, title: title || "" }));
  row.title = landed.signature;
  const badge = element("span", { className: "badge", textContent: landed.error === null ? landed.commitment : "failed" });
  badge.dataset.commitment = landed.error === null ? landed.commitment : "failed";
  if (landed.error !== null) badge.title = JSON.stringify(landed.error);
  const last = row.insertCell();
  last.append(badge);
  if (landed.commitment !== "finalized") {
    const fork = element("button", { type: "button", className: "plain small", textContent: "Fork" });
    fork.title = "A fork takes this block back and what came after it; other transactions land again";
    fork.addEventListener("click", async () => {
      if (await send("POST", "/control/chain/fork", { signature: landed.signature })) toast("A fork took it back");
    });
    last.prepend(fork);
  }
  return row;
}

const signedSol = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toLocaleString("en", { maximumFractionDigits: 6 });

function renderChain(chain) {
  if (!nodeRows.size) makeNodeFaults(chain.nodes);
  byId("chain-slot").textContent = chain.slot.toLocaleString("en");
  byId("chain-height").textContent = chain.height.toLocaleString("en");
  byId("chain-pace").textContent = `${Math.round(chain.slot_seconds * 1000)} ms`;
  byId("chain-total").textContent = chain.transactions.toLocaleString("en");
  const on = new Map();
  for (const fault of state.faults.filter(isOfNode)) {
    const key = faultKey(fault.source, fault.kind, fault.says);
    on.set(key, (on.get(key) || 0) + fault.hits);
  }
  for (const node of chain.nodes) {
    const parts = nodeRows.get(node.name) || makeNode(node);
    const faults = state.faults.filter((fault) => fault.source === node.name);
    parts.badge.textContent = faults.length ? `${faults.length} fault${faults.length > 1 ? "s" : ""}` : "well";
    parts.badge.title = faults.map((fault) => fault.kind).join(", ");
    parts.badge.dataset.commitment = faults.length ? "failed" : "finalized";
    const sockets = `${node.sockets} WebSocket${node.sockets === 1 ? "" : "s"}`;
    parts.calls.textContent = `${node.calls.toLocaleString("en")} calls · ${sockets}`;
  }
  for (const cell of byId("node-faults").querySelectorAll("[data-node-fault]")) {
    cell.setAttribute("aria-checked", on.has(cell.dataset.nodeFault));
    cell.textContent = on.has(cell.dataset.nodeFault) ? compact.format(on.get(cell.dataset.nodeFault)) : "";
  }
  renderSwapFaults();
  const wrong = byId("chain-faults-on");
  const number = state.faults.filter((fault) => isOfNode(fault) || isOfSwaps(fault)).length;
  wrong.textContent = number ? `${number} on` : "";
  wrong.dataset.commitment = "failed";
  byId("node-faults-off").disabled = !state.faults.some(isOfNode);
  const floor = byId("fee-floor");
  if (document.activeElement !== floor) {
    if (![...floor.options].some((option) => Number(option.value) === chain.fee_floor)) {
      floor.add(new Option(chain.fee_floor.toLocaleString("en"), chain.fee_floor));
    }
    floor.value = chain.fee_floor;
  }
  const none = element("tr", {});
  none.append(element("td", { colSpan: 6, className: "muted", textContent: "Nothing has landed yet. Send somebody an airdrop." }));
  const rows = byId("chain-last");
  if (!rows.matches(":hover")) rows.replaceChildren(...(chain.last.length ? chain.last.map(transactionRow) : [none]));
}

function startChain() {
  makeSwapFaults();
  byId("airdrop").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { address, sol } = event.target.elements;
    const sent = await send("POST", "/control/chain/airdrop", { address: address.value.trim(), sol: sol.value });
    if (sent) toast(`${sol.value} SOL are on their way to ${short(address.value.trim())}`);
  });
  byId("pass-slots").addEventListener("click", async () => {
    if (await send("POST", "/control/chain/slots", { count: EVERY_BLOCKHASH })) toast("No blockhash of before is taken any more");
  });
  byId("storm").addEventListener("click", async () => {
    const seed = Math.floor(Math.random() * 1e6);
    if (await send("POST", "/control/chain/storm", { seed, rate: "0.2", liar: "node_2" })) toast(`Storm ${seed}: only node 2 lies`);
  });
  byId("node-faults-off").addEventListener("click", async () => {
    for (const { name } of state.chain.nodes) await send("DELETE", `/control/faults?source=${name}`);
    toast("Both nodes are well");
  });
  byId("fee-floor").addEventListener("change", async (event) => {
    await send("POST", "/control/chain/fees", { floor: Number(event.target.value) });
    event.target.blur();
  });
}
