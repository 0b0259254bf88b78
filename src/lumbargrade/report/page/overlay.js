// What is drawn over a slice: rings, boxes, lines of the other views, letters, scale bar, texts.

const LINE_NAME = { sagittal_t1: "T1", sagittal_t2: "T2", axial_t2: "axial" };

function drawOverlay(pane) {
  const layer = pane.layer;
  const [width, height] = pane.size();
  layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  layer.replaceChildren();
  if (layers.lines) drawLines(pane);
  if (layers.boxes) drawBox(pane);
  if (layers.points) drawPoints(pane);
  drawLetters(pane, width, height);
  drawScaleBar(pane, width, height);
  drawTexts(pane, width, height);
}

function label(pane, text, x, y, attributes = {}) {
  pane.layer.append(svg("text", { x, y, ...attributes }, text));
}

function drawLines(pane) {
  for (const other of panes) {
    if (other === pane || !other.slice) continue;
    const ends = crossing(other.slice, pane.slice);
    if (!ends) continue;
    const [a, b] = ends.map((place) => pane.place(place.row, place.column));
    const group = svg("g", { class: `line line-${other.view}` });
    for (const shade of ["under", "over"]) {
      group.append(svg("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], class: shade }));
    }
    pane.layer.append(group);
    const isFlat = Math.abs(a[0] - b[0]) > Math.abs(a[1] - b[1]);
    const [width, height] = pane.size();
    const low = a[isFlat ? 0 : 1] < b[isFlat ? 0 : 1] ? a : b;
    const x = isFlat ? clamp(low[0], 26, width) + 4 : clamp(low[0], 4, width - 30) + 4;
    const y = isFlat ? clamp(low[1], 60, height - 30) - 5 : clamp(low[1], 0, height) + 52;
    const shift = other.view === "sagittal_t1" ? 14 : 0;
    label(pane, LINE_NAME[other.view], x, y + shift, { class: `line-name line-${other.view}` });
  }
}

function drawBox(pane) {
  const target = scene.targets[selected];
  if (!target.box || target.view !== pane.view) return;
  const slices = pane.data.slices;
  const away = Math.abs(pane.index - target.slice);
  if (away > target.box.depth || slices[target.slice].stack !== pane.slice.stack) return;
  const points = target.box.corners
    .map((corner) => toSlice(pane.slice, corner))
    .map((place) => pane.place(place.row, place.column).join(","))
    .join(" ");
  for (const shade of ["under", "over"]) {
    pane.layer.append(svg("polygon", { points, class: `box ${shade}${away ? " away" : ""}` }));
  }
}

function drawPoints(pane) {
  scene.targets.forEach((target, number) => {
    if (target.slice === null || target.view !== pane.view) return;
    const isChosen = number === selected;
    const away = target.slice - pane.index;
    if (away === 0) drawRing(pane, target, number, isChosen);
    else if (isChosen && Math.abs(away) <= 2) drawRing(pane, target, number, true, away);
  });
  const chosen = scene.targets[selected];
  if (chosen.slice !== null && chosen.view !== pane.view) drawCross(pane, chosen.position);
}

function drawRing(pane, target, number, isChosen, away = 0) {
  const place = toSlice(pane.slice, target.position);
  const [x, y] = pane.place(place.row, place.column);
  const names = ["ring", isChosen ? "chosen" : "", away ? "away" : ""].join(" ").trim();
  const ring = svg("g", { class: names, "data-target": number });
  const radius = isChosen ? 9 : 7;
  for (const shade of ["under", "over"]) {
    ring.append(svg("circle", { cx: x, cy: y, r: radius, class: shade }));
    for (const [dx, dy] of away ? [] : [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      ring.append(svg("line", {
        x1: x + dx * radius, y1: y + dy * radius,
        x2: x + dx * (radius + 5), y2: y + dy * (radius + 5), class: shade,
      }));
    }
  }
  if (!away) ring.append(svg("circle", { cx: x, cy: y, r: 14, class: "catch" }));
  const side = target.labelLeft ? -1 : 1;
  const words = away ? `${target.label}: ${Math.abs(away)} ${away < 0 ? "back" : "on"}` : target.label;
  ring.append(svg("text", {
    x: x + side * (radius + 8), y: y + 4, "text-anchor": side < 0 ? "end" : "start",
  }, words));
  pane.layer.append(ring);
}

// The chosen point's foot on a slice of another view that passes close to it.
function drawCross(pane, position) {
  const place = toSlice(pane.slice, position);
  if (Math.abs(place.distance) > pane.slice.spacing || !isInside(pane.slice, place)) return;
  const [x, y] = pane.place(place.row, place.column);
  for (const shade of ["under", "over"]) {
    const path = `M${x - 8} ${y}H${x - 3}M${x + 3} ${y}H${x + 8}M${x} ${y - 8}V${y - 3}M${x} ${y + 3}V${y + 8}`;
    pane.layer.append(svg("path", { d: path, class: `cross ${shade}` }));
  }
}

function drawLetters(pane, width, height) {
  const { right, down } = pane.slice;
  const opposite = (vector) => letters(vector.map((value) => -value));
  const middle = { class: "letter" };
  label(pane, opposite(right), 8, height / 2 + 5, middle);
  label(pane, letters(right), width - 8, height / 2 + 5, { ...middle, "text-anchor": "end" });
  label(pane, opposite(down), width / 2, 20, { ...middle, "text-anchor": "middle" });
  label(pane, letters(down), width / 2, height - 8, { ...middle, "text-anchor": "middle" });
}

function drawScaleBar(pane, width, height) {
  const mm = [100, 50, 20, 10, 5].find((value) => value * pane.scale() < width / 3);
  if (!mm) return;
  const [x2, y] = [width - 10, height - 10];
  const x1 = x2 - mm * pane.scale();
  for (const shade of ["under", "over"]) {
    const path = `M${x1} ${y - 4}V${y}H${x2}V${y - 4}`;
    pane.layer.append(svg("path", { d: path, class: `scale ${shade}`, "data-mm": mm }));
  }
  label(pane, `${mm} mm`, x2, y - 8, { "text-anchor": "end" });
}

function drawTexts(pane, width, height) {
  const { slice, data } = pane;
  const lines = [`${pane.index + 1} / ${data.slices.length}`];
  const stored = [stackWords(pane)];
  if (slice.instance !== null) stored.push(`instance ${slice.instance}`);
  if (slice.frame !== null) stored.push(`frame ${slice.frame}`);
  if (stored.some(Boolean)) lines.push(stored.filter(Boolean).join(", "));
  if (slice.side) lines.push(slice.side);
  lines.forEach((text, i) => label(pane, text, 8, 18 + 15 * i, i ? {} : { class: "first" }));
  const name = data.series[slice.series].name;
  const room = Math.floor((width / 2 - 40) / 7.5);
  label(pane, name.length > room ? `${name.slice(0, room - 1)}…` : name, width - 8, 18, { "text-anchor": "end" });
  const { centre, width: wide } = pane.window();
  label(pane, `W ${Math.round(wide)}  C ${Math.round(centre)}`, 8, height - 10, { class: "window" });
}

function stackWords(pane) {
  const stacks = Array.from(new Set(pane.data.slices.map((slice) => slice.stack)));
  if (stacks.length === 1) return "";
  return `block ${stacks.indexOf(pane.slice.stack) + 1} / ${stacks.length}`;
}
