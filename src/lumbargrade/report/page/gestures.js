// Mouse and touch on a stage: wheel, drags, swipes, pinches, clicks.

let mode = "slices";

const SWIPE_PX = 14; // per slice
const CLICK_PX = 4;

function setMode(name) {
  mode = name;
  findAll("[data-mode]").forEach((button) => press(button, button.dataset.mode === name));
  document.documentElement.dataset.mode = name;
}

function listenTo(pane) {
  const { stage } = pane;
  const fingers = new Map();
  let drag = null;
  let wheel = 0;
  let isPointing = false; // a press focuses the stage, too; only a click makes it the large one

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey) {
      const frame = stage.getBoundingClientRect();
      const at = [event.clientX - frame.left, event.clientY - frame.top];
      pane.zoomBy(Math.exp(-event.deltaY / 300), at);
      return;
    }
    wheel += event.deltaMode === 0 ? event.deltaY / 50 : event.deltaY;
    const steps = Math.trunc(wheel);
    if (!steps) return;
    wheel = 0;
    pane.show(pane.index + Math.sign(steps));
  }, { passive: false });

  stage.addEventListener("pointerdown", (event) => {
    isPointing = true;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    stage.setPointerCapture(event.pointerId);
    drag = {
      kind: event.button === 2 ? "window" : event.button === 1 ? "pan" : mode,
      start: [event.clientX, event.clientY],
      last: [event.clientX, event.clientY],
      index: pane.index,
      window: { ...pane.window() },
      isTouch: event.pointerType === "touch",
      moved: false,
    };
  });

  stage.addEventListener("pointermove", (event) => {
    if (!drag || !fingers.has(event.pointerId)) return;
    const before = spread(fingers);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size > 1) {
      pane.zoomBy(spread(fingers) / before);
      drag.moved = true;
      return;
    }
    const [dx, dy] = [event.clientX - drag.start[0], event.clientY - drag.start[1]];
    if (Math.hypot(dx, dy) > CLICK_PX) drag.moved = true;
    if (!drag.moved) return;
    follow(pane, drag, dx, dy, event);
    drag.last = [event.clientX, event.clientY];
  });

  const end = (event) => {
    fingers.delete(event.pointerId);
    isPointing = false;
    if (drag && !drag.moved && event.type === "pointerup" && event.button === 0) click(pane, event);
    drag = null;
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  stage.addEventListener("dblclick", () => pane.reset());
  stage.addEventListener("focus", () => {
    if (!isPointing) activate(panes.indexOf(pane));
  });
  pane.slider.addEventListener("input", () => pane.show(Number(pane.slider.value) - 1));
}

function spread(fingers) {
  const [a, b] = Array.from(fingers.values());
  return b ? Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1) : 1;
}

// A finger changes slices sideways, so that up and down still scroll the page.
function follow(pane, drag, dx, dy, event) {
  if (drag.kind === "pan") {
    pane.moveBy(event.clientX - drag.last[0], event.clientY - drag.last[1]);
  } else if (drag.kind === "window") {
    const [low, high] = pane.data.series[pane.slice.series].range;
    const unit = (high - low) / 400;
    pane.setWindow(drag.window.centre + dy * unit, drag.window.width + dx * unit);
  } else {
    pane.show(drag.index + Math.round((drag.isTouch ? dx : dy) / SWIPE_PX));
  }
}

// In a small view it enlarges that view; in the large one it takes the others to the same place.
function click(pane, event) {
  if (pane !== activePane()) {
    activate(panes.indexOf(pane));
    return;
  }
  const hit = document.elementFromPoint(event.clientX, event.clientY);
  const ring = hit && hit.closest(".ring");
  if (ring) {
    select(Number(ring.dataset.target));
    return;
  }
  const frame = pane.stage.getBoundingClientRect();
  const place = pane.pixelAt(event.clientX - frame.left, event.clientY - frame.top);
  if (isInside(pane.slice, place)) goTo(toLps(pane.slice, place.row, place.column), pane);
}

// The other views show the slice nearest to a place.
function goTo(lps, except) {
  for (const pane of panes) {
    if (pane !== except && pane.slice) pane.show(nearestSlice(pane.data.slices, lps));
  }
}
