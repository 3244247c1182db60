"use strict";
// What the pages of a recovery run can do besides being read: show one combination, go through a grid by keys, open a case.
(() => {
  const sections = [...document.querySelectorAll(".combination")];
  const choices = [...document.querySelectorAll(".choose a")];
  const target = () => decodeURIComponent(location.hash.slice(1));

  // One combination at a time: the address says which; #all is all of them.
  function choose() {
    const name = target();
    const pages = JSON.parse(document.body.dataset.pages || "{}");
    for (const [prefix, page] of Object.entries(pages)) {
      // The address of a case, as a page of another suite has it, leads on to the page that the case is on.
      if (name.startsWith(prefix)) return location.replace(`${page}#${name.slice(name.indexOf("/") + 1)}`);
    }
    const known = sections.some((section) => section.id === name) || name === "all";
    const shown = known ? name : document.body.dataset.shown || (sections[0] || {}).id;
    document.body.dataset.shown = shown;
    for (const section of sections) section.hidden = shown !== "all" && section.id !== shown;
    for (const choice of choices) {
      if (choice.hash === `#${shown}`) choice.setAttribute("aria-current", "true");
      else choice.removeAttribute("aria-current");
    }
  }

  // A case that an address leads to is opened.
  function follow() {
    if (sections.length) choose();
    const one = document.getElementById(target());
    if (!one) return;
    const folded = one.closest("details");
    if (folded) folded.open = true;
    one.scrollIntoView({ block: "start" });
    if (one.matches(".one, .cell")) one.focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  follow();

  // Keys: each grid is one stop of the tabulator, arrows go from cell to cell, over what is empty.
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function place(cell) {
    const line = cell.closest("tr");
    return [[...line.querySelectorAll("td")].indexOf(cell.parentElement), [...cell.closest("table").querySelectorAll("tbody tr")].indexOf(line)];
  }
  function enter(cell) {
    for (const other of cell.closest("table").querySelectorAll("td a[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
  }
  for (const table of document.querySelectorAll(".points")) {
    const cells = table.querySelectorAll("td a");
    for (const cell of cells) cell.tabIndex = -1;
    if (cells.length) cells[0].tabIndex = 0;
    const lines = [...table.querySelectorAll("tbody tr")].map((line) => [...line.querySelectorAll("td")]);
    table.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey || !event.target.matches("td a")) return;
      event.preventDefault();
      let [column, row] = place(event.target);
      let next = null;
      do {
        column += step[0];
        row += step[1];
        if (!lines[row] || !lines[row][column]) return;
        next = lines[row][column].querySelector("a");
      } while (!next);
      enter(next);
      next.focus();
    });
  }
  document.addEventListener("mouseover", (event) => {
    const cell = event.target.closest(".points td a");
    if (cell && !cell.title) cell.title = cell.getAttribute("aria-label");
  });
  for (const hint of document.querySelectorAll(".keys")) hint.hidden = false;
})();
