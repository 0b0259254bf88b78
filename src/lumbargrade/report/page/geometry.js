// Patient LPS in mm <-> row and column of a slice. A slice: origin (centre of pixel 0, 0), down and
// right (mm per row and per column), all LPS.

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const length = (a) => Math.sqrt(dot(a, a));

function normal(slice) {
  const [a, b] = [slice.right, slice.down];
  const cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const size = length(cross);
  return cross.map((value) => value / size);
}

function toLps(slice, row, column) {
  return [0, 1, 2].map((i) => slice.origin[i] + slice.down[i] * row + slice.right[i] * column);
}

// Signed distance from the plane, and the foot point's row and column.
function toSlice(slice, lps) {
  const offset = minus(lps, slice.origin);
  return {
    distance: dot(offset, normal(slice)),
    row: dot(offset, slice.down) / dot(slice.down, slice.down),
    column: dot(offset, slice.right) / dot(slice.right, slice.right),
  };
}

function isInside(slice, place) {
  return place.row >= -0.5 && place.row <= slice.rows - 0.5
    && place.column >= -0.5 && place.column <= slice.columns - 0.5;
}

// The nearest slice that shows a place; where none does, the nearest one.
function nearestSlice(slices, lps) {
  let best = 0;
  let least = Infinity;
  slices.forEach((slice, index) => {
    const place = toSlice(slice, lps);
    const cost = Math.abs(place.distance) + (isInside(slice, place) ? 0 : 1e6);
    if (cost < least) [best, least] = [index, cost];
  });
  return best;
}

function corners(slice) {
  const [bottom, right] = [slice.rows - 0.5, slice.columns - 0.5];
  return [[-0.5, -0.5], [-0.5, right], [bottom, right], [bottom, -0.5]]
    .map(([row, column]) => toLps(slice, row, column));
}

// Where the rectangle of one slice cuts the plane of another: two places on the latter, or null.
function crossing(cutting, shown) {
  if (Math.abs(dot(normal(cutting), normal(shown))) > 0.9) return null;
  const around = corners(cutting);
  const heights = around.map((corner) => toSlice(shown, corner).distance);
  const ends = [];
  for (let i = 0; i < 4; i += 1) {
    const j = (i + 1) % 4;
    if ((heights[i] < 0) === (heights[j] < 0)) continue;
    const share = heights[i] / (heights[i] - heights[j]);
    const lps = around[i].map((value, axis) => value + share * (around[j][axis] - value));
    ends.push(toSlice(shown, lps));
  }
  return ends.length === 2 ? ends : null;
}

// The patient's direction of a vector, e.g. "P", or "PF" where it is oblique by more than 25 degrees.
function letters(direction) {
  const size = length(direction);
  return [["L", "R"], ["P", "A"], ["H", "F"]]
    .map(([plus, less], axis) => [direction[axis] / size, direction[axis] > 0 ? plus : less])
    .filter(([cosine]) => Math.abs(cosine) > 0.42)
    .sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]))
    .map(([, letter]) => letter)
    .join("");
}
