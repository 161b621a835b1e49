// Small ways to make and change elements. Text only ever goes in as text.

export const byId = (id) => document.getElementById(id);

/** Makes an element: el("td", { class: "num" }, "1.5", child). Names starting with "on" are listeners. */
export function el(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Changes text only when it differs, so that nothing is laid out again for nothing. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const FLASHES = ["flash-up", "flash-down", "flash-new"].flatMap((name) => [name, `${name}-again`]);

/**
 * Plays a one-shot animation class, again if it is still running: under its other name, which costs no layout of the
 * page, as asking for one between two changes of a class would. A hundred cells flash at once.
 */
export function flash(element, name) {
  const next = element.classList.contains(name) ? `${name}-again` : name;
  element.classList.remove(...FLASHES);
  element.classList.add(next);
}

let toasts;
/** Shows a sentence for a few seconds; tone is "gain", "loss", "bad" or "". */
export function toast(text, tone = "") {
  toasts ??= byId("toasts");
  const item = el("p", { class: `toast ${tone}` }, text);
  toasts.append(item);
  while (toasts.children.length > 4) toasts.firstChild.remove();
  setTimeout(() => item.remove(), 6000);
}

/** Opens a dialog and resolves to true when its OK button closed it. */
export function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
    dialog.showModal();
  });
}

/** Sends JSON with the CSRF token and returns the answer's JSON; throws a sentence when refused. */
export async function send(method, path, body, csrfCookie) {
  const token = document.cookie.split("; ").find((pair) => pair.startsWith(csrfCookie + "="))?.split("=")[1] ?? "";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The desk does not answer.");
  }
  const document_ = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(document_.error ?? `Refused (${answer.status}).`);
  return document_;
}
