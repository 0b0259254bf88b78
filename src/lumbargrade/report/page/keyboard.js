// Keys and buttons; the list for people stands in the help dialog of the page.

const help = find("dialog.help");

const actions = {
  help: () => help.showModal(),
  close: () => help.close(),
  previous: () => step(-1),
  next: () => step(1),
  in: () => activePane().slice && activePane().zoomBy(1.25),
  out: () => activePane().slice && activePane().zoomBy(0.8),
  reset: () => activePane().reset(),
  solo: () => {
    const isSolo = find(".panes").classList.toggle("solo");
    press(find("[data-action=solo]"), isSolo);
    panes.forEach((pane) => pane.arrange());
  },
};

function toggleLayer(name) {
  layers[name] = !layers[name];
  press(find(`[data-layer=${name}]`), layers[name]);
  panes.forEach((pane) => pane.arrange());
}

const showAt = (index) => activePane().show(index);

const keys = {
  ArrowLeft: actions.previous,
  ArrowRight: actions.next,
  ArrowUp: () => showAt(activePane().index - 1),
  ArrowDown: () => showAt(activePane().index + 1),
  PageUp: () => showAt(activePane().index - 5),
  PageDown: () => showAt(activePane().index + 5),
  Home: () => showAt(0),
  End: () => showAt(Infinity),
  1: () => activate(0),
  2: () => activate(1),
  3: () => activate(2),
  p: () => toggleLayer("points"),
  b: () => toggleLayer("boxes"),
  l: () => toggleLayer("lines"),
  s: () => setMode("slices"),
  w: () => setMode("window"),
  d: () => setMode("pan"),
  "+": actions.in,
  "=": actions.in,
  "-": actions.out,
  0: actions.reset,
  e: actions.solo,
  "?": actions.help,
  Escape: () => cells[cellNumber(selected)].focus(),
};

const tableKeys = {
  ArrowLeft: () => moveInTable(-1, 0),
  ArrowRight: () => moveInTable(1, 0),
  ArrowUp: () => moveInTable(0, -1),
  ArrowDown: () => moveInTable(0, 1),
};

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (help.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = document.activeElement;
    const isSlider = focused && focused.tagName === "INPUT";
    const action = (focused && focused.closest(".grades") && tableKeys[event.key]) || keys[event.key];
    if (!action || (isSlider && /^(Arrow|Page|Home|End)/.test(event.key))) return;
    event.preventDefault();
    action();
  });
  findAll("[data-action]").forEach((button) => {
    button.addEventListener("click", () => actions[button.dataset.action]());
  });
  findAll("[data-layer]").forEach((button) => {
    button.addEventListener("click", () => toggleLayer(button.dataset.layer));
  });
  findAll("[data-mode]").forEach((button) => {
    button.addEventListener("click", () => setMode(button.dataset.mode));
  });
  findAll("[data-pane]").forEach((button, i) => {
    button.addEventListener("click", () => activate(i));
  });
}
