// The page's elements and data. Texts from the study go in as text, never as markup.

const find = (selector, from = document) => from.querySelector(selector);
const findAll = (selector, from = document) => Array.from(from.querySelectorAll(selector));
const readJson = (id) => JSON.parse(document.getElementById(id).textContent);

const scene = readJson("scene");
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  return element;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}
