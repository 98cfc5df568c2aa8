/**
 * Verifies an audit bundle here in the browser, by docs/audit.md: signatures, the tree, the events,
 * the shown state. What it finds is what `codex-media audit verify` finds.
 */

import { equal, sha256 } from "./bytes.js";
import { Unfoldable } from "./fold.js";
import { Tree } from "./merkle.js";
import { Records } from "./personal.js";
import { isSigned, Malformed, notesOf, parseKey, readNote } from "./note.js";
import { records } from "./records.js";
import { Rows } from "./rows.js";
import { Broken, parse, Stream } from "./stream.js";
import { openZip, Unreadable } from "./zip.js";

const FORM = "codex-media.bundle.v3\n";
const FORM_WITHOUT_PERSONAL = "codex-media.bundle.v2\n";
const HASH_BYTES = 32;
const AT_ONCE = 512;
const PART = /^(?:events|media_items|personal)\/(\d{6,})\.(?:txt|jsonl)$/;

export { Malformed, Unreadable };

/**
 * Checks `blob`. `keys` and `since` are texts: the keys that may have signed (without any, the
 * bundle's own is taken), checkpoints kept from earlier. `progress(step, done, total)` is told where it is.
 *
 * Answers `{ok, findings, events, streams, checkpoints, covered, keys, ownKey, newest, leaves}`.
 * Throws `Unreadable` for what is no bundle, `Malformed` for a key that is none.
 */
export async function verify(blob, { keys = [], since = [], progress = () => {} } = {}) {
  const zip = await openZip(blob);
  const form = await zip.text("format.txt");
  if (form !== FORM && form !== FORM_WITHOUT_PERSONAL) throw new Unreadable("it has a form that is not known here");
  const leaves = split(await zip.read("leaves.bin"));
  const verdict = { findings: [], events: leaves.length, streams: 0, checkpoints: 0, covered: 0, ownKey: !keys.length, newest: null, leaves };
  verdict.keys = await Promise.all((keys.length ? keys : [await zip.text("key.txt")]).map(parseKey));
  const marks = await checkSignatures(notesOf(await zip.text("checkpoints.txt")), verdict, progress);
  verdict.checkpoints = marks.length;
  for (const { stated, note } of marks) if (stated.size >= verdict.covered) Object.assign(verdict, { covered: stated.size, newest: note });
  marks.push(...(await checkSignatures(since, verdict, progress, true)));
  const proven = await checkTree(leaves, marks, verdict, progress);
  judge(await checkEvents(zip, form, leaves, progress), proven, verdict);
  verdict.findings.sort((a, b) => a.first - b.first || a.last - b.last);
  return { ...verdict, ok: !verdict.findings.length };
}

function split(bytes) {
  if (bytes.length % HASH_BYTES) throw new Unreadable("leaves.bin ends within a hash");
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, at) => bytes.subarray(HASH_BYTES * at, HASH_BYTES * (at + 1)));
}

const find = (verdict, first, last, what) => verdict.findings.push({ first, last, what });

async function checkSignatures(notes, verdict, progress, kept = false) {
  const marks = [];
  let before = 0;
  for (const [at, note] of notes.entries()) {
    let stated;
    try {
      stated = readNote(note);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      find(verdict, before + 1, before + 1, `no checkpoint can be read after that of size ${before}: ${error.message}`);
      break;
    }
    const name = `the checkpoint${kept ? " kept from earlier" : ""} of size ${stated.size}`;
    if (!(await isSigned(note, verdict.keys))) {
      const known = verdict.keys.map(({ name: owner, id }) => `${owner} (${id})`).join(" or ");
      find(verdict, before + 1, Math.max(stated.size, before + 1), `${name} is not signed by ${known}`);
    }
    before = stated.size;
    marks.push({ stated, note, kept, name });
    progress("Signatures", at + 1, notes.length);
  }
  return marks;
}

/** Up to which size the leaves are proven by checkpoints. */
async function checkTree(leaves, marks, verdict, progress) {
  const tree = new Tree();
  let [proven, provenByKept] = [0, 0];
  for (const { stated, kept, name } of marks.sort((a, b) => a.stated.size - b.stated.size)) {
    const first = 1 + (kept ? provenByKept : proven);
    if (leaves.length < stated.size) {
      find(verdict, first, stated.size, `the ledger ends after event ${leaves.length}, and ${name} covers more`);
      break;
    }
    await tree.extend(leaves.slice(tree.size, stated.size));
    progress("Tree", tree.size, leaves.length);
    if (!equal(await tree.root(), stated.root)) {
      find(verdict, first, tree.size, `the ledger is not the one that ${name} was signed for`);
      break;
    }
    proven = tree.size;
    if (kept) provenByKept = tree.size;
  }
  return proven;
}

/** All parts, event by event. */
async function checkEvents(zip, form, leaves, progress) {
  const found = { events: 0, streams: 0, broken: null, stray: null, damaged: "", rows: [], sound: new Uint8Array(leaves.length) };
  const numbers = [...zip.members.keys()].map((name) => Number(PART.exec(name)?.[1] ?? 0));
  const last = numbers.reduce((most, number) => Math.max(most, number), 1);
  for (let part = 1; part <= last; part += 1) {
    const name = String(part).padStart(6, "0");
    const rows = new Rows(await zip.read(`media_items/${name}.jsonl`), leaves.length);
    const text = await eventsOf(zip, `events/${name}.txt`, found);
    const personal = form === FORM ? await zip.read(`personal/${name}.txt`) : new Uint8Array();
    if (text) await walk(text, rows, await Records.of(personal, leaves.length), leaves, found);
    progress("Events", found.events, leaves.length);
  }
  return found;
}

async function eventsOf(zip, name, found) {
  if (!zip.members.has(name)) throw new Unreadable(`it has no ${name}`);
  try {
    return await zip.read(name);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    found.damaged = error.message;
    return null;
  }
}

async function walk(part, rows, personal, leaves, found) {
  let stream = new Stream();
  const end = () => {
    if (!stream.version) return;
    found.streams += 1;
    rows.compare(stream);
    found.rows.push(...stream.undisclosed());
  };
  for await (const { seq, text, digest } of hashed(part)) {
    if (isStray(seq, digest, leaves, found)) continue;
    found.sound[seq - 1] = 1;
    found.events += 1;
    try {
      const event = parse(seq, text);
      if (event.id !== stream.id) {
        end();
        stream = new Stream(event.id, stream.id, personal);
      }
      stream.take(seq, event, digest);
    } catch (error) {
      if (error instanceof Broken) found.broken = earlier(found.broken, error);
      else if (error instanceof Unfoldable) found.rows.push({ first: seq, last: seq, what: `it cannot be folded: ${error.message}` });
      else throw error;
    }
  }
  end();
  rows.end();
  personal.finish();
  found.rows.push(...rows.wrong, ...personal.wrong);
}

/** Records with their hashes, many hashed at once. */
async function* hashed(part) {
  let some = [];
  const flush = async () => {
    const digests = await Promise.all(some.map(({ text }) => text && sha256(text)));
    const ready = some.map((record, at) => ({ ...record, digest: digests[at] }));
    some = [];
    return ready;
  };
  for (const record of records(part)) {
    some.push(record);
    if (some.length === AT_ONCE) yield* await flush();
  }
  yield* await flush();
}

function isStray(seq, digest, leaves, found) {
  if (seq > 0 && seq <= leaves.length && !found.sound[seq - 1] && equal(leaves[seq - 1], digest)) return false;
  found.stray = earlier(found.stray, stray(seq, leaves.length, found.sound));
  return true;
}

function stray(seq, size, sound) {
  if (!seq) return new Broken(size + 1, "a part holds what is no event");
  if (seq > size) return new Broken(size + 1, "it has no leaf: it was added");
  return new Broken(seq, sound[seq - 1] ? "more than one event has its place" : "its hash is not that of its leaf");
}

const earlier = (a, b) => (!a || b.seq < a.seq ? b : a);

/** Puts together what was found: the first wrong event, else the wrong rows. */
function judge(found, proven, verdict) {
  verdict.streams = found.streams;
  const wrong = firstWrong(found, proven, verdict.events);
  if (wrong) verdict.findings.push(wrong);
  if (!verdict.findings.length && verdict.events && !verdict.checkpoints) find(verdict, 1, verdict.events, "no checkpoint covers them");
  if (!verdict.findings.length) verdict.findings.push(...found.rows);
}

function firstWrong({ broken, stray: odd, damaged, sound, events }, proven, size) {
  const lost = sound.indexOf(0) + 1; // The first place without its event, or 0.
  if (broken && !(lost > 0 && lost < broken.seq)) {
    // The one that is older than a checkpoint is proven; of two that are not, it may be either.
    const first = broken.follows > proven ? broken.follows : broken.seq;
    return { first, last: broken.seq, what: broken.message };
  }
  if (damaged) {
    const first = lost || size + 1;
    return { first, last: Math.max(first, size), what: `the archive is damaged (${damaged})` };
  }
  if (lost) {
    const what = odd?.seq === lost ? odd.message : "it is missing";
    return { first: lost, last: lost, what: lost <= proven ? `it is not the event that was signed: ${what}` : what };
  }
  if (odd) return { first: odd.seq, last: odd.seq, what: odd.message };
  return events > size ? { first: 1, last: size, what: "one stands there twice" } : null;
}
