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
  check: "M4.500 12.500l5 5 10-11",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  cross: "M7 7l10 10M17 7L7 17",
  dots: "M5 12h.01M12 12h.01M19 12h.01",
  film: "M4 5h16v14H4zM4 9.500h16M4 14.500h16M8.500 5v14M15.500 5v14",
  full: "M8 4H4v4M16 4h4v4M8 20H4v-4M16 20h4v-4",
  loud: "M4 9.500v5h3.500L12 19V5L7.500 9.500zM15.500 9a4 4 0 010 6M18 6.500a8 8 0 010 11",
  mute: "M4 9.500v5h3.500L12 19V5L7.500 9.500zM16 9.500l5 5M21 9.500l-5 5",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.500v15l12-7.500z",
  retry: "M4 12a8 8 0 0114-5.300L20 9M20 4v5h-5M20 12a8 8 0 01-14 5.300L4 15M4 20v-5h5",
  shield: "M12 3l8 3v6c0 4.500-3.300 7.700-8 9-4.700-1.300-8-4.500-8-9V6z",
  sound: "M4 10v4M8 6.500v11M12 3.500v17M16 7v10M20 10v4",
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
