// Which cluster the desk's nodes are of: asked until a node has told, and now and then afterwards.

import { byId } from "./dom.js";

const UNKNOWN_MS = 5_000;
const KNOWN_MS = 60_000;

/** Keeps the word in the header true; `show` also runs for what the page came with. */
export function watchPlace() {
  const badge = byId("place");
  const show = (place) => {
    badge.textContent = place.word;
    badge.title = place.sentence;
    badge.dataset.tone = place.tone;
    document.body.dataset.place = place.word.toLowerCase();
    badge.dataset.known = place.known;
  };
  const again = () => setTimeout(look, badge.dataset.known === "true" ? KNOWN_MS : UNKNOWN_MS);
  async function look() {
    try {
      const answer = await fetch("/desk/place", { cache: "no-store" });
      if (answer.ok) show(await answer.json());
    } catch {
      // Offline is told by the feed's own mark; what was known of the cluster stays.
    }
    again();
  }
  again();
}
