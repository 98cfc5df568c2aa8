/** Small pictures over the seek bar, from a WebVTT file that names parts of sheets. */

import { h } from "./dom.js";
import { clock } from "./format.js";

const CUE = /^((?:\d+:)?\d\d:\d\d\.\d{3})\s+-->\s+((?:\d+:)?\d\d:\d\d\.\d{3}).*\n(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm;

const seconds = (text) => text.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);

/** `[{start, end, url, x, y, width, height}]`, in the order of time. */
export function cues(text) {
  return [...text.replaceAll("\r\n", "\n").matchAll(CUE)].map(([, start, end, url, ...numbers]) => {
    const [x, y, width, height] = numbers.map(Number);
    return { start: seconds(start), end: seconds(end), url, x, y, width, height };
  });
}

/** Shows where on `bar` (in `place`) the pointer is, with its picture. `duration()` is in seconds. */
export async function glimpses(url, place, bar, duration) {
  const answer = await fetch(url);
  if (!answer.ok) return; // Without it the bar works as well.
  const found = cues(await answer.text());
  if (!found.length) return;
  const time = h("span", {});
  const box = h("div", { class: "glimpse", hidden: true, "aria-hidden": "true" }, time);
  place.append(box);
  bar.addEventListener("pointerleave", () => (box.hidden = true));
  bar.addEventListener("pointermove", (event) => {
    const area = bar.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - area.left) / area.width));
    const at = share * duration();
    const cue = found.find(({ end }) => at < end) ?? found.at(-1);
    const half = cue.width / 2;
    box.style.width = `${cue.width}px`;
    box.style.height = `${cue.height}px`;
    box.style.left = `${Math.min(area.width - half, Math.max(half, share * area.width))}px`;
    box.style.backgroundImage = `url("${cue.url}")`;
    box.style.backgroundPosition = `-${cue.x}px -${cue.y}px`;
    time.textContent = clock(at);
    box.hidden = false;
  });
}
