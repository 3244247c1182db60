"use strict";
// What the page can do besides being read: filter, sort, go through the matrix by keys.
(() => {
  const cells = [...document.querySelectorAll(".matrix a")];
  const rows = [...document.querySelectorAll("#cases tbody tr")];
  const addressOf = (link) => decodeURIComponent(link.hash.slice(1));
  const cellOf = new Map(cells.map((cell) => [addressOf(cell), cell]));
  const words = document.getElementById("words");
  const form = document.getElementById("filter");
  const pressed = new Set();

  // Filter: every word must be in the address; of the pressed verdicts one must be the case's, and each pressed mark.
  const marks = new Set(["ch", "fl"]);
  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = [...pressed].filter((code) => !marks.has(code));
    const others = [...pressed].filter((code) => marks.has(code));
    let shown = 0;
    for (const [address, cell] of cellOf) {
      const off = !(wanted.every((word) => address.toLowerCase().includes(word))
        && (!verdicts.length || verdicts.some((code) => cell.classList.contains(code)))
        && others.every((code) => cell.classList.contains(code)));
      cell.classList.toggle("off", off);
      shown += !off;
    }
    for (const row of rows) row.hidden = cellOf.get(addressOf(row.querySelector("a"))).classList.contains("off");
    const all = shown === cells.length;
    document.getElementById("shown").textContent = all ? "" : `${shown} of ${cells.length} cases`;
    if (!all && rows.length) rows[0].closest("details").open = shown > 0;
    enterAt(cells.find((cell) => !cell.classList.contains("off")) || cells[0]);
  }
  for (const item of document.querySelectorAll(".legend li")) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = `${item.title}; press to see only these`;
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    button.addEventListener("click", () => {
      const on = !pressed.delete(item.dataset.code);
      if (on) pressed.add(item.dataset.code);
      button.setAttribute("aria-pressed", String(on));
      filter();
    });
    item.removeAttribute("title");
    item.append(button);
  }
  words.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  // Keys: the matrix is one stop of the tabulator, arrows go from cell to cell.
  let entered = null;
  function enterAt(cell) {
    if (entered) entered.tabIndex = -1;
    entered = cell;
    if (cell) cell.tabIndex = 0;
  }
  for (const cell of cells) cell.tabIndex = -1;
  const lines = new Map();
  for (const cell of cells) {
    const name = addressOf(cell).split("/")[0];
    if (!lines.has(name)) lines.set(name, []);
    lines.get(name).push(cell);
  }
  const names = [...lines.keys()];
  function move(cell, across, down) {
    let line = names.indexOf(addressOf(cell).split("/")[0]);
    let column = lines.get(names[line]).indexOf(cell);
    do {
      line += down;
      column += across;
      cell = (lines.get(names[line]) || [])[column];
    } while (cell && cell.classList.contains("off"));
    return cell;
  }
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const open = document.querySelector(".case:target");
    if (event.key === "Escape" && open) return close(open);
    const cell = event.target.closest(".matrix a");
    if (!cell || !steps[event.key]) return;
    event.preventDefault();
    const next = move(cell, ...steps[event.key]);
    if (next) {
      enterAt(next);
      next.focus();
    }
  });

  // A case: closed, it gives the focus back to its cell, and the page stays where it is.
  function close(section) {
    const cell = cellOf.get(section.id);
    const [left, top] = [scrollX, scrollY];
    location.hash = "matrix";
    scrollTo(left, top);
    enterAt(cell);
    cell.focus({ preventScroll: true });
  }
  function follow() {
    for (const cell of cells) cell.removeAttribute("aria-current");
    const open = document.querySelector(".case:target");
    if (!open) return;
    const cell = cellOf.get(open.id);
    cell.setAttribute("aria-current", "true");
    enterAt(cell);
    open.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest" });
  }
  addEventListener("hashchange", follow);
  addEventListener("load", follow);  // after the browser has gone to the address itself
  document.addEventListener("click", (event) => {
    if (!event.target.closest(".close")) return;
    event.preventDefault();
    close(event.target.closest(".case"));
  });
  document.addEventListener("mouseover", (event) => {
    const cell = event.target.closest(".matrix a");
    if (cell && !cell.title) cell.title = cell.getAttribute("aria-label").slice(3);
  });

  // Sort: numbers by value, anything else as text.
  for (const table of document.querySelectorAll(".sort")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const turn = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", turn > 0 ? "ascending" : "descending");
        const key = (row) => row.cells[column].textContent.trim();
        const compare = (one, two) => one.localeCompare(two, "en", { numeric: true });
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort((one, two) => turn * compare(key(one), key(two))));
      });
    });
  }

  form.hidden = false;
  for (const hint of document.querySelectorAll(".keys")) hint.hidden = false;
  for (const past of document.querySelectorAll(".past")) past.parentElement.scrollLeft = past.offsetWidth;
  enterAt(cells[0]);
})();
