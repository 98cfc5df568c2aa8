/** Text to the clipboard. */

import { media } from "./api.js";
import { speak } from "./dom.js";

/** Copies and says so; throws a sentence where the browser does not let us. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw new Error("The browser does not let this page copy. Open the item, select the address there and copy it.");
  }
  speak("Copied.");
}

/** The item's playback URL, fresh. */
export async function copyPlayback(id) {
  await copy((await media.playback(id)).masterUrl);
}
