// Rows of levels in the configuration form: add, remove. Numbers of the rows are counted by the style sheet.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add], [data-remove]");
  const levels = button && button.closest("[data-levels]");
  if (!levels) {
    return;
  }
  if (button.hasAttribute("data-remove")) {
    button.closest("tr").remove();
    return;
  }
  const rows = levels.querySelector("tbody");
  rows.append(levels.querySelector("template").content.cloneNode(true));
  rows.lastElementChild.querySelector("input").focus();
});
