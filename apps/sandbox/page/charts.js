// Charts to play, what plays now, and on which tokens. Reads the page's state from sandbox.js.
"use strict";

const SVG_HEIGHT = 44;
const EVERYTHING = { "*held": { held: true }, "*all": { all: true } };

const playingRows = new Map();
let chartList = null;

/** Draws a chart's steps; the dashed line is the price at the start, the other colour what one source tells instead. */
function drawShape(svg, points, lengthSeconds) {
  const levels = points.map((point) => Math.log(100 + Number(point.percent)));
  const lies = points.map((point, index) => Object.values(point.told).map((factor) => levels[index] + Math.log(factor))[0]);
  const zero = Math.log(100);
  const shown = [zero, zero + 0.1, zero - 0.1, ...levels, ...lies.filter((level) => level !== undefined)];
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const y = (level) => (3 + ((high - level) / (high - low)) * (SVG_HEIGHT - 6)).toFixed(1);
  const x = (index) => ((index < points.length ? points[index].at_seconds / lengthSeconds : 1) * 200).toFixed(1);
  const steps = levels.map((level, index) => `${x(index)},${y(level)} ${x(index + 1)},${y(level)}`);
  svg.querySelector("polyline").setAttribute("points", steps.join(" "));
  const told = lies.map((level, index) => (level === undefined ? "" : `M${x(index)},${y(level)}H${x(index + 1)}`));
  svg.querySelector("path").setAttribute("d", told.join(""));
  const start = svg.querySelector("line");
  start.setAttribute("y1", y(zero));
  start.setAttribute("y2", y(zero));
}

function chartCard(chart) {
  const card = byId("chart").content.firstElementChild.cloneNode(true);
  card.dataset.script = chart.name;
  card.querySelector("strong").textContent = chart.title;
  const badge = card.querySelector(".badge");
  badge.textContent = badge.dataset.topic = chart.about;
  card.querySelector("p").textContent = chart.sentence;
  drawShape(card.querySelector("svg"), chart.points, chart.length_seconds);
  const button = card.querySelector("button");
  button.textContent = `Play, ${Math.round(chart.length_seconds)} s`;
  button.setAttribute("aria-label", `Play ${chart.title}`);
  button.addEventListener("click", () => playChart("/control/scenarios", { scenario: chart.name }, chart.title));
  return card;
}

function ownChart() {
  const form = byId("own-chart").content.firstElementChild.cloneNode(true);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { percents, seconds, loop } = form.elements;
    const points = percents.value
      .split(/[,;\s]+/)
      .filter(Boolean)
      .map((percent, index) => ({ percent: percent.replace("−", "-"), at_seconds: index * Number(seconds.value) }));
    const body = loop.checked ? { points, loop: true } : { points, hold: false };
    playChart("/control/path", body, "Your chart");
  });
  return form;
}

async function playChart(path, body, title) {
  const target = byId("chart-target").value;
  const on = EVERYTHING[target] || { mint: target };
  const answer = await send("POST", path, { ...body, ...on, speed: Number(byId("chart-speed").value) });
  if (!answer) return;
  const where = answer.started.length === 1 ? answer.started[0].symbol : `${answer.started.length} tokens`;
  toast(`${title} plays on ${where}`);
}

/** Keeps the list of tokens that may be chosen, and the choice. */
function renderTargets() {
  const select = byId("chart-target");
  if (document.activeElement === select) return;
  const held = new Set(state.held);
  const options = [
    ["*held", `all held tokens (${held.size})`],
    ["*all", "every demo token"],
    ...state.tokens.map((token) => [token.mint, held.has(token.mint) ? `${token.symbol}, held` : token.symbol]),
  ];
  const wanted = JSON.stringify(options);
  if (select.dataset.shown === wanted) return;
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
  select.value = options.some(([value]) => value === chosen) ? chosen : "*held";
  select.dataset.shown = wanted;
}

function makePlayingRow(mint) {
  const row = byId("playing-row").content.firstElementChild.cloneNode(true);
  const find = (name) => row.querySelector(`[data-do="${name}"]`);
  find("pace").addEventListener("click", () => {
    const one = state.playing.find((playing) => playing.mint === mint);
    if (one) send("POST", "/control/path/speed", { mint, speed: one.speed === 0 ? 1 : 0 });
  });
  find("next").addEventListener("click", () => send("POST", "/control/path/next", { mint }));
  find("end").addEventListener("click", () => send("DELETE", `/control/path?mint=${mint}`));
  playingRows.set(mint, row);
  return row;
}

function renderPlayingRow(one) {
  const row = playingRows.get(one.mint) || makePlayingRow(one.mint);
  row.querySelector("strong").textContent = one.symbol;
  row.querySelector("span").textContent = one.title;
  row.querySelector("progress").value = Math.min(1, one.elapsed_seconds / one.length_seconds);
  const now = Number(one.price_sol) / Number(one.start_price_sol) - 1;
  const left = one.remaining_seconds === null ? (one.loop ? "again and again" : "stopped") : `${Math.ceil(one.remaining_seconds)} s left`;
  const lies = Object.entries(one.told).map(([source, factor]) => `${source} tells ${factor} times the price`);
  row.querySelector("p").textContent = [`step ${one.step} of ${one.steps}`, signed(now * 100), left, ...lies].join(" · ");
  row.querySelector('[data-do="pace"]').textContent = one.speed === 0 ? "Go on" : "Stop the clock";
  return row;
}

function renderCharts() {
  renderTargets();
  const list = byId("playing");
  const rows = state.playing.map(renderPlayingRow);
  for (const mint of playingRows.keys()) {
    if (!state.playing.some((one) => one.mint === mint)) playingRows.delete(mint);
  }
  if (!rows.length) rows.push(Object.assign(document.createElement("li"), { className: "empty", textContent: "No chart plays." }));
  // Rows that stay are left in place, so that a button that is being pressed is not taken away.
  if (rows.length !== list.children.length || rows.some((row, index) => list.children[index] !== row)) list.replaceChildren(...rows);
  byId("playing-off").disabled = state.playing.length === 0;
}

async function loadCharts() {
  if (chartList) return;
  const answer = await send("GET", "/control/scenarios");
  if (!answer) return;
  chartList = answer.scripts;
  byId("chart-cards").replaceChildren(...chartList.map(chartCard), ownChart());
}

byId("playing-off").addEventListener("click", async () => {
  if (await send("DELETE", "/control/path")) toast("Every chart has ended where it was");
});
byId("charts").open = localStorage.getItem("sandbox-charts") === "open";
byId("charts").addEventListener("toggle", () => localStorage.setItem("sandbox-charts", byId("charts").open ? "open" : "closed"));
loadCharts();
