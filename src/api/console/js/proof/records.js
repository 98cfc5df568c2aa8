/** The records of a part: a line `SEQ LENGTH`, so many bytes, and a line feed. */

import { raw } from "./bytes.js";

const HEADER = /^([1-9]\d{0,17}) ([1-9]\d{0,17})\n/;
const BEGINNING = /[1-9]\d{0,17} [1-9]\d{0,17}\ncodex-media\.event\.v1\n/g;
const MAX_HEADER = 38;
const FEED = 0x0a;

/**
 * `{seq, text}` of each record; seq 0 where bytes are no record. After such, and what stands before
 * it, reading goes on at the next that looks like a beginning.
 */
export function* records(part) {
  let at = 0;
  let text = 0;
  let letters = null; // Needed only where something is wrong.
  while (at < part.length) {
    const header = HEADER.exec(raw(part.subarray(at, at + MAX_HEADER)));
    if (header) {
      text = at + header[0].length;
      at = text + Number(header[2]) + 1;
      if (part[at - 1] === FEED) {
        yield { seq: Number(header[1]), text: part.subarray(text, at - 1) };
        continue;
      }
    }
    yield { seq: 0, text: null };
    letters ??= raw(part);
    at = resumed(letters, at, text);
  }
}

/** What is wrong may be the line feed before this place, the length before that, or all. */
function resumed(letters, at, text) {
  BEGINNING.lastIndex = at;
  const here = at < letters.length && BEGINNING.exec(letters);
  if (here && here.index === at) return at;
  BEGINNING.lastIndex = text;
  return BEGINNING.exec(letters)?.index ?? letters.length;
}
