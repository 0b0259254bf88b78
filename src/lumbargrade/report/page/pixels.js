// The slices' 8-bit values, decoded when needed, and their window.

const encoded = readJson("pixels");
const decoded = new Map();
const KEEP_DECODED = 96;

// A promise of {width, height, values}; values are 0..255 over the series' stored range.
function slicePixels(view, index) {
  const key = `${view} ${index}`;
  let promise = decoded.get(key);
  if (promise) decoded.delete(key);
  else promise = decode(encoded[view][index]);
  decoded.set(key, promise);
  if (decoded.size > KEEP_DECODED) decoded.delete(decoded.keys().next().value);
  return promise;
}

async function decode(base64) {
  const image = new Image();
  image.src = `data:image/jpeg;base64,${base64}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const values = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < values.length; i += 1) values[i] = rgba[4 * i];
  return { width: canvas.width, height: canvas.height, values };
}

// A window in stored values, as centre and width.
function firstWindow(series) {
  const [low, high] = series.window;
  return { centre: (low + high) / 2, width: high - low };
}

function paint(canvas, pixels, series, window_) {
  const [low, high] = series.range;
  const lut = new Uint8ClampedArray(256);
  for (let i = 0; i < 256; i += 1) {
    const stored = low + (i / 255) * (high - low);
    lut[i] = ((stored - window_.centre) / window_.width + 0.5) * 255;
  }
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(pixels.width, pixels.height);
  const words = new Uint32Array(image.data.buffer);
  const grey = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) grey[i] = 0xff000000 | (lut[i] * 0x010101);
  for (let i = 0; i < words.length; i += 1) words[i] = grey[pixels.values[i]];
  context.putImageData(image, 0, 0);
}
