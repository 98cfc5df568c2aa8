/** Elements without innerHTML: text never becomes markup. */

/**
 * An element. `props`: `class`, `on` (listeners by event), `dataset`, properties of the element by
 * their names, and attributes where the element has no such property.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  add: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  bin: "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 12.5h9l1-12.5M10.5 10.5v6M13.5 10.5v6",
  check: "M4.5 12.5l5 5 10-11",
  clock: "M12 3.5a8.5 8.5 0 100 17 8.5 8.5 0 000-17zM12 7.5V12l3 2",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  cross: "M7 7l10 10M17 7L7 17",
  film: "M4 5h16v14H4zM4 9.5h16M4 14.5h16M8.5 5v14M15.5 5v14",
  full: "M8 4H4v4M16 4h4v4M8 20H4v-4M16 20h4v-4",
  loud: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM15.5 9a4 4 0 010 6M18 6.5a8 8 0 010 11",
  mute: "M4 9.5v5h3.5L12 19V5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.5v15l12-7.5z",
  retry: "M4 12a8 8 0 0114-5.300L20 9M20 4v5h-5M20 12a8 8 0 01-14 5.300L4 15M4 20v-5h5",
  shield: "M12 3l8 3v6c0 4.5-3.300 7.700-8 9-4.700-1.300-8-4.5-8-9V6z",
  sound: "M4 10v4M8 6.5v11M12 3.5v17M16 7v10M20 10v4",
  up: "M12 16V4M7 9l5-5 5 5M4 20h16",
};
const SVG = "http://www.w3.org/2000/svg";

/** A picture beside words; screen readers pass over it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with words, and a picture before them if one is named. */
export function button(words, call, { picture, ...props } = {}) {
  return h("button", { type: "button", ...props, on: { click: call } }, picture ? icon(picture) : null, words);
}

/** Changes text only where it differs, so that screen readers are not told twice. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Says something to those who cannot see it happen. */
export function speak(sentence) {
  write(document.getElementById("spoken"), sentence);
}

/** Replaces the children of `element`. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}
