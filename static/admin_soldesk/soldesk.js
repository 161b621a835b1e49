// The desk's own touches on every admin page: times in the reader's zone, copy on click. No dependency, no request.
(() => {
  const sameDay = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
  const otherDay = { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", hour12: false };

  const localTimes = (root) => {
    const today = new Date().toDateString();
    for (const element of root.querySelectorAll("time.sd-time:not([data-local])")) {
      const moment = new Date(element.dateTime);
      element.textContent = moment.toLocaleString(undefined, moment.toDateString() === today ? sameDay : otherDay);
      element.dataset.local = "";
    }
  };

  const copy = async (element) => {
    await navigator.clipboard.writeText(element.dataset.copy);
    element.classList.add("sd-copied");
    setTimeout(() => element.classList.remove("sd-copied"), 900);
  };

  document.addEventListener("DOMContentLoaded", () => localTimes(document));
  document.addEventListener("htmx:load", (event) => localTimes(event.detail.elt.parentElement || document));
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-copy]");
    if (element && navigator.clipboard) {
      event.preventDefault();
      copy(element);
    }
  });
})();
