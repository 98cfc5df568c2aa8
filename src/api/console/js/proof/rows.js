/** Whether the exported rows of a part are what its events make. Both are in the order of their ids. */

import { decode, lines } from "./bytes.js";
import { differing } from "./fold.js";

/** The rows of a ledger of `size` events. What is wrong is in `wrong`: `{first, last, what}`. */
export class Rows {
  constructor(text, size) {
    this.wrong = [];
    this.size = size;
    this.lines = lines(text);
    this.at = 0;
    this.before = null;
    this.row = this.next();
  }

  /** Hold the next stream's row against it. */
  compare(stream) {
    while (this.row && this.row.id < stream.id) this.tellUnfounded();
    if (this.row?.id !== stream.id) this.tell(stream.first, stream.seq, `the projection lacks the item of ${stream.id}`);
    else this.hold(stream);
    this.before = stream;
  }

  hold(stream) {
    const [row, expected] = [this.row, stream.row()];
    this.row = this.next();
    if (!expected) return;
    if (row.version > stream.version) {
      const after = this.size + 1;
      return this.tell(after, after, `it is missing: the projection shows version ${row.version} of ${stream.id}`);
    }
    const names = differing(row, expected).join(", ");
    if (names) this.tell(stream.seq, stream.seq, `the projection of ${stream.id} differs from its events in ${names}`);
  }

  /** No stream is left: no row may be. */
  end() {
    while (this.row) this.tellUnfounded();
  }

  next() {
    while (this.at < this.lines.length) {
      const row = parsed(this.lines[this.at++]);
      if (row) return row;
      this.tell(this.size, this.size, "the projection holds a line that is no row");
    }
    return null;
  }

  tellUnfounded() {
    const { id } = this.row;
    const isTwice = id === this.before?.id;
    const place = isTwice ? this.before.seq : this.size + 1;
    this.tell(place, place, isTwice ? `the projection shows ${id} twice` : `the projection shows ${id}, which has no events`);
    this.row = this.next();
  }

  tell(first, last, what) {
    this.wrong.push({ first, last, what });
  }
}

function parsed(line) {
  try {
    const row = JSON.parse(decode(line));
    return typeof row?.id === "string" && Number.isInteger(row.version) ? row : null;
  } catch {
    return null;
  }
}
