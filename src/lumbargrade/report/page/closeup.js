// The graded region of the chosen target, on its slice and on the neighbours of the same block.

const CLOSE_UP_PX = 280;
let closeUpTurn = 0;

async function drawCloseUp() {
  const holder = find(".closeup");
  const target = scene.targets[selected];
  const pane = panes.find((candidate) => candidate.view === target.view);
  closeUpTurn += 1;
  const turn = closeUpTurn;
  await new Promise(requestAnimationFrame); // once a frame is enough while a window is dragged
  if (turn !== closeUpTurn) return;
  if (target.slice === null || !target.box) {
    holder.replaceChildren();
    return;
  }
  const { slices } = pane.data;
  const tiles = [];
  for (let step = -target.box.depth; step <= target.box.depth; step += 1) {
    const index = target.slice + step;
    const isThere = slices[index] && slices[index].stack === slices[target.slice].stack;
    tiles.push(isThere ? tileOf(pane, index, target) : Promise.resolve(absentTile()));
  }
  const drawn = await Promise.all(tiles);
  if (turn !== closeUpTurn) return;
  drawn[target.box.depth].classList.add("middle");
  holder.replaceChildren(...drawn);
}

function absentTile() {
  const tile = document.createElement("span");
  tile.textContent = "no slice";
  return tile;
}

async function tileOf(pane, index, target) {
  const slice = pane.data.slices[index];
  const pixels = await slicePixels(pane.view, index);
  const whole = document.createElement("canvas");
  paint(whole, pixels, pane.data.series[slice.series], pane.windows[slice.series]);
  const places = target.box.corners.map((corner) => toSlice(slice, corner));
  const rows = places.map((place) => place.row + 0.5);
  const columns = places.map((place) => place.column + 0.5);
  const [top, left] = [Math.min(...rows), Math.min(...columns)];
  const [down, across] = [pixels.height / slice.rows, pixels.width / slice.columns];
  const tile = document.createElement("canvas");
  tile.width = CLOSE_UP_PX;
  tile.height = CLOSE_UP_PX;
  tile.title = `slice ${index + 1}`;
  const context = tile.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(
    whole,
    left * across, top * down,
    (Math.max(...columns) - left) * across, (Math.max(...rows) - top) * down,
    0, 0, CLOSE_UP_PX, CLOSE_UP_PX,
  );
  context.font = "bold 24px system-ui, sans-serif";
  context.lineWidth = 5;
  context.strokeText(index + 1, 8, 28);
  context.fillStyle = "#f0f2f4";
  context.fillText(index + 1, 8, 28);
  tile.addEventListener("click", () => pane.show(index));
  return tile;
}
