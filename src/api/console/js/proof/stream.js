/** The events of one media item, one after the other: their chain, and the row they make. */

import { decode, hex, raw } from "./bytes.js";
import { commits, emptyRow, FIRST, LAST, micros, setBy, Unfoldable } from "./fold.js";
import { Disclosure, Records } from "./personal.js";

const FORM = "codex-media.event.v1";
const FIELDS = 15;

/** An event that is not what it must be. `follows`: the event whose hash it does not name. */
export class Broken extends Error {
  constructor(seq, what, follows = 0) {
    super(what);
    this.seq = seq;
    this.follows = follows;
  }
}

/** The fields of an event's text; `Broken`. */
export function parse(seq, text) {
  const lines = raw(text).split("\n");
  if (lines.length !== FIELDS || lines[0] !== FORM) throw new Broken(seq, "it does not have an event's form");
  const [, id, version, , type, schemaVersion, , , , , , , recordedAt, previous] = lines;
  return { id, version, type, schemaVersion, recordedAt, previous, payload: () => text.subarray(text.lastIndexOf(0x0a) + 1) };
}

/** A stream so far. Each event is held against the one before. */
export class Stream {
  constructor(id = "", after = "", personal = new Records()) {
    this.disclosure = new Disclosure(id, personal);
    Object.assign(this, { id, after, version: 0, first: 0, seq: 0, hash: "", born: "", changed: "", columns: emptyRow() });
  }

  /** The event after; throws `Broken` if it is not, `Unfoldable` if it makes no row. */
  take(seq, event, digest) {
    const [before, after, hash] = [this.version, this.seq, this.hash];
    this.version += 1;
    this.seq = seq;
    this.hash = hex(digest);
    if (event.version !== String(this.version) || event.previous !== hash || seq < after) {
      this.columns = null;
      throw this.broken(before, after, event.version);
    }
    this.changed = event.recordedAt;
    if (!before) {
      this.first = seq;
      this.born = event.recordedAt;
      if (this.id < this.after) throw new Broken(seq, "its stream stands behind a later one");
    }
    if (this.columns) this.fold(event, before);
  }

  fold(event, before) {
    const columns = this.columns;
    this.columns = null;
    if ((event.type === FIRST) !== (before === 0)) throw new Unfoldable(`it is ${event.type} as version ${this.version}`);
    const [version, payload] = [Number(event.schemaVersion), payloadOf(event)];
    setBy(event.type, version, payload); // What cannot be read takes nothing.
    const personal = commits(event.type, version) ? this.disclosure.take(this.seq, this.version, payload) : null;
    this.columns = Object.assign(columns, setBy(event.type, version, payload, personal));
    if (event.type === LAST) this.disclosure.erase(this.seq, payload);
  }

  /** What is wrong. What comes after is held against this event nevertheless. */
  broken(before, after, version) {
    if (version !== String(this.version)) {
      this.version = /^\d{1,15}$/.test(version) ? Number(version) : 0;
      return new Broken(this.seq, `it is version ${version} of ${this.id}, which is at version ${before}`);
    }
    if (this.seq < after) return new Broken(this.seq, `it comes after event ${after} of ${this.id}`);
    return new Broken(this.seq, `event ${this.seq} does not follow event ${after} of ${this.id}: it names another hash`, after);
  }

  /** What is wrong with the personal fields. Whether they may lack is in the last event. */
  undisclosed() {
    return this.disclosure.wrong(this.columns !== null);
  }

  /** The row that the events make; null where nobody can tell. */
  row() {
    if (this.undisclosed().length) return null;
    const time = (text) => (micros(text) === null ? null : text);
    return this.columns && { ...this.columns, id: this.id, version: this.version, created_at: time(this.born), updated_at: time(this.changed) };
  }
}

function payloadOf(event) {
  try {
    return JSON.parse(decode(event.payload()));
  } catch {
    throw new Unfoldable("its payload is malformed");
  }
}
