// The chosen grade: its card, its place in all views, and the address that leads back to it.

const cells = findAll(".cell");
const cards = findAll(".card");
let selected = 0;

const cellNumber = (target) => cells.findIndex((cell) => Number(cell.dataset.target) === target);

function select(number, { remember = true } = {}) {
  selected = number;
  const target = scene.targets[number];
  const at = cellNumber(number);
  cells.forEach((cell, i) => {
    if (i === at) cell.setAttribute("aria-current", "true");
    else cell.removeAttribute("aria-current");
    cell.tabIndex = i === at ? 0 : -1;
  });
  cards.forEach((card) => card.classList.toggle("current", Number(card.dataset.target) === number));
  find(".place").textContent = `${at + 1} of ${cells.length}`;
  find("[role=status]").textContent = cells[at].getAttribute("aria-label");
  if (remember) history.replaceState(null, "", `#${target.anchor}`);
  activate(panes.findIndex((pane) => pane.view === target.view));
  if (target.slice === null) {
    panes.forEach((pane) => pane.arrange());
    drawCloseUp();
    return;
  }
  activePane().show(target.slice);
  goTo(target.position, activePane());
}

function step(by) {
  const at = cellNumber(selected);
  select(Number(cells[(at + by + cells.length) % cells.length].dataset.target));
}

// Arrow keys inside the table: one cell, not beyond an edge.
function moveInTable(dx, dy) {
  const at = cellNumber(selected);
  const [row, column] = [Math.floor(at / 5) + dy, (at % 5) + dx];
  if (row < 0 || row > 4 || column < 0 || column > 4) return;
  const cell = cells[row * 5 + column];
  select(Number(cell.dataset.target));
  cell.focus({ preventScroll: true });
}

// The address's target, else the surest severe one, else the first that has a point.
function firstTarget() {
  const named = scene.targets.findIndex((target) => `#${target.anchor}` === location.hash);
  if (named >= 0) return named;
  const severity = (cell) => Number(cell.dataset.severity || 0);
  const worst = cells.slice().sort((a, b) => severity(b) - severity(a))
    .map((cell) => Number(cell.dataset.target))
    .find((number) => scene.targets[number].slice !== null);
  return worst === undefined ? 0 : worst;
}

function listenToTargets() {
  cells.forEach((cell) => {
    cell.addEventListener("click", (event) => {
      event.preventDefault();
      select(Number(cell.dataset.target));
      if (window.matchMedia("(max-width: 800px)").matches) {
        find("#evidence").scrollIntoView({ block: "start" });
      }
    });
  });
  window.addEventListener("hashchange", () => {
    const named = scene.targets.findIndex((target) => `#${target.anchor}` === location.hash);
    if (named >= 0) select(named, { remember: false });
  });
}
