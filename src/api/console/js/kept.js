/** Checkpoints that this browser keeps: what later bundles must still agree with. */

import { readNote } from "./proof/note.js";

const NAME = "codex-media.checkpoints";
const MOST = 50;

/** The notes, oldest first. */
export function keptNotes() {
  try {
    const found = JSON.parse(localStorage.getItem(NAME)) ?? [];
    return found.filter((note) => typeof note === "string");
  } catch {
    return [];
  }
}

/** Keeps one more; throws a sentence where the browser keeps nothing. */
export function keep(note) {
  const notes = keptNotes().filter((other) => other !== note);
  try {
    localStorage.setItem(NAME, JSON.stringify([...notes, note].slice(-MOST)));
  } catch {
    throw new Error("This browser keeps nothing for this page. Download the checkpoint instead.");
  }
}

/** Keeps none any more. */
export const dropAll = () => localStorage.removeItem(NAME);

/** The sizes they were signed at. */
export const keptSizes = () => keptNotes().map((note) => readNote(note).size);
