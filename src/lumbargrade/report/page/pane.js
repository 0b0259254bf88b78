// One view: its slices, the one that is shown, its window, zoom and place on the stage.

const layers = { points: true, boxes: true, lines: true };
const panes = [];
let active = 0;

class Pane {
  constructor(element, data) {
    this.element = element;
    this.data = data;
    this.view = data.view;
    this.stage = find(".stage", element);
    this.canvas = find("canvas", element);
    this.layer = find("svg", this.stage || element);
    this.slider = find("input", element);
    this.index = Math.floor(data.slices.length / 2);
    this.windows = data.series.map(firstWindow);
    this.zoom = 1;
    this.pan = [0, 0]; // mm
    this.pixels = null;
  }

  get slice() {
    return this.data.slices[this.index];
  }

  window() {
    return this.windows[this.slice.series];
  }

  size() {
    return [this.stage.clientWidth, this.stage.clientHeight];
  }

  spacing() {
    return [length(this.slice.down), length(this.slice.right)];
  }

  // Screen pixels per mm.
  scale() {
    const [width, height] = this.size();
    const [rowMm, columnMm] = this.spacing();
    const { rows, columns } = this.slice;
    return this.zoom * Math.min(width / (columns * columnMm), height / (rows * rowMm));
  }

  // Where the middle of a pixel is on the stage.
  place(row, column) {
    const [width, height] = this.size();
    const [rowMm, columnMm] = this.spacing();
    const { rows, columns } = this.slice;
    return [
      width / 2 + (this.pan[0] + (column + 0.5 - columns / 2) * columnMm) * this.scale(),
      height / 2 + (this.pan[1] + (row + 0.5 - rows / 2) * rowMm) * this.scale(),
    ];
  }

  // The opposite of place().
  pixelAt(x, y) {
    const [x0, y0] = this.place(0, 0);
    const [rowMm, columnMm] = this.spacing();
    return { row: (y - y0) / this.scale() / rowMm, column: (x - x0) / this.scale() / columnMm };
  }

  async show(index) {
    if (!this.slice) return;
    this.index = clamp(index, 0, this.data.slices.length - 1);
    this.slider.value = this.index + 1;
    this.describe();
    panes.forEach((pane) => pane.arrange());
    const wanted = this.index;
    const pixels = await slicePixels(this.view, wanted);
    if (wanted !== this.index) return; // scrolled on meanwhile
    this.pixels = pixels;
    this.paint();
    for (const near of [wanted + 1, wanted - 1]) {
      if (this.data.slices[near]) slicePixels(this.view, near);
    }
  }

  // Moves canvas and marks to where they belong; pixels stay.
  arrange() {
    if (!this.slice || !this.stage.clientWidth) return;
    const [rowMm, columnMm] = this.spacing();
    const [x, y] = this.place(-0.5, -0.5);
    this.canvas.style.width = `${this.slice.columns * columnMm * this.scale()}px`;
    this.canvas.style.height = `${this.slice.rows * rowMm * this.scale()}px`;
    this.canvas.style.transform = `translate(${x}px, ${y}px)`;
    drawOverlay(this);
  }

  paint() {
    if (!this.pixels) return;
    paint(this.canvas, this.pixels, this.data.series[this.slice.series], this.window());
    this.canvas.dataset.slice = this.index;
    this.arrange();
    if (this.view === scene.targets[selected].view) drawCloseUp();
  }

  setWindow(centre, width) {
    const [low, high] = this.data.series[this.slice.series].range;
    const span = high - low;
    this.windows[this.slice.series] = {
      centre: clamp(centre, low, high),
      width: clamp(width, span / 100, 2 * span),
    };
    this.paint();
  }

  // Zooms about a place on the stage, the middle unless told otherwise.
  zoomBy(factor, at = this.size().map((side) => side / 2)) {
    const before = this.pixelAt(at[0], at[1]);
    this.zoom = clamp(this.zoom * factor, 1, 12);
    const [x, y] = this.place(before.row, before.column);
    this.moveBy(at[0] - x, at[1] - y);
  }

  moveBy(dx, dy) {
    const limits = [this.slice.columns * this.spacing()[1], this.slice.rows * this.spacing()[0]];
    this.pan = [dx, dy].map((step, axis) => {
      const reach = (limits[axis] / 2) * (1 - 1 / this.zoom);
      return clamp(this.pan[axis] + step / this.scale(), -reach, reach);
    });
    this.arrange();
  }

  reset() {
    if (!this.slice) return;
    this.windows = this.data.series.map(firstWindow);
    this.zoom = 1;
    this.pan = [0, 0];
    this.paint();
  }

  describe() {
    const here = scene.targets.filter((t) => t.view === this.view && t.slice === this.index);
    const { slice, data } = this;
    const words = [`slice ${this.index + 1} of ${data.slices.length}`, stackWords(this)].filter(Boolean);
    if (slice.side) words.push(slice.side);
    words.push(here.length ? `points: ${here.map((t) => t.label).join(", ")}` : "no points");
    this.slider.setAttribute("aria-valuetext", words.join(", "));
    this.stage.setAttribute("aria-label", `${data.name}, ${words.join(", ")}`);
    find(".where", this.element).textContent = here.length ? here.map((t) => t.label).join(" · ") : "";
  }
}

function activate(number) {
  active = number;
  panes.forEach((pane, i) => pane.element.classList.toggle("active", i === number));
  findAll("[data-pane]").forEach((button, i) => press(button, i === number));
  panes.forEach((pane) => pane.arrange());
}

const activePane = () => panes[active];
