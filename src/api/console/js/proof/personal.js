/**
 * Whether the personal fields in an export are all that, and what, the events commit to: docs/audit.md,
 * "What is personal". They go when an event says that their item was erased, and never otherwise.
 */

import { decode, encode, hex, joined, lines, raw, sha256 } from "./bytes.js";
import { canonical, Unfoldable } from "./fold.js";

const FORM = "codex-media.personal.v1";
const LINE = /^([0-9a-f-]{36} [1-9]\d{0,17}) ([0-9a-f]{64}) (?=\{[^]*\}$)/;

/** What `fields` (bytes: RFC 8785) under a salt are committed to as, in hexadecimal. */
export const commitment = async (salt, fields) => hex(await sha256(joined(encode(`${FORM}\n${salt}\n`), fields)));

/** The same of fields that were read. */
export const commitmentOf = ({ salt, fields }) => commitment(salt, encode(canonical(fields)));

/** The personal fields of a part's events. Each is taken once. What is wrong is in `wrong`. */
export class Records {
  constructor(size = 0) {
    Object.assign(this, { end: size + 1, kept: new Map(), wrong: [] });
  }

  /** From the lines of a part of a ledger of `size` events. */
  static async of(bytes, size) {
    const records = new Records(size);
    for (const line of lines(bytes)) await records.add(line);
    return records;
  }

  async add(line) {
    const letters = raw(line);
    const found = LINE.exec(letters);
    if (!found) return this.tell("a line of the personal fields is none");
    const [head, name, salt] = found;
    const before = this.kept.get(name);
    if (before && before.letters !== letters) return this.tell(`there are two sets of personal fields of ${named(name)}`);
    const fields = line.subarray(head.length);
    this.kept.set(name, { letters, fields, commitment: await commitment(salt, fields) });
  }

  take(stream, version) {
    const name = `${stream} ${version}`;
    const found = this.kept.get(name) ?? null;
    this.kept.delete(name);
    return found;
  }

  /** No event is left: no fields may be. */
  finish() {
    for (const name of this.kept.keys()) this.tell(`there are personal fields of ${named(name)}, which commits to none`);
  }

  tell(what) {
    this.wrong.push({ first: this.end, last: this.end, what });
  }
}

const named = (name) => name.replace(/^(\S+) (\d+)$/, "version $2 of $1");

/** What the events of one stream commit to, held against the fields that are there. */
export class Disclosure {
  constructor(stream, records) {
    Object.assign(this, { stream, records, erased: false, commitments: [], present: [], missing: [], told: [] });
  }

  /** The fields that an event commits to; null where there are none, or not these. */
  take(seq, version, payload) {
    this.commitments.push(payload?.commitment);
    const record = this.records.take(this.stream, version);
    if (!record) {
      this.missing.push(seq);
      return null;
    }
    this.present.push(seq);
    if (record.commitment === payload?.commitment) return parsed(record.fields);
    this.tell(seq, "its personal fields are not those that it commits to");
    return null;
  }

  erase(seq, { commitments }) {
    this.erased = true;
    if (canonical(commitments) !== canonical(this.commitments)) this.tell(seq, "it names other commitments than those of its item's events");
  }

  /** What is wrong, when the stream's last event was taken. */
  wrong(isWhole) {
    if (!isWhole) return this.told; // Nobody knows whether it was erased.
    const [places, what] = this.erased
      ? [this.present, `its personal fields are still there, though ${this.stream} was erased`]
      : [this.missing, `its personal fields are missing, and no event says that ${this.stream} was erased`];
    return [...this.told, ...places.map((seq) => ({ first: seq, last: seq, what }))];
  }

  tell(seq, what) {
    this.told.push({ first: seq, last: seq, what });
  }
}

function parsed(fields) {
  try {
    return JSON.parse(decode(fields));
  } catch {
    throw new Unfoldable("its personal fields are malformed");
  }
}
