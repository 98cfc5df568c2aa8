/** Signed checkpoints (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) and the keys that sign them. */

import { base64, encode, equal, hex, joined, sha256, toBase64 } from "./bytes.js";

const ED25519 = Uint8Array.of(1);
const SIZE = /^(0|[1-9]\d{0,15})$/;

/** A text is no key, or no checkpoint. */
export class Malformed extends Error {}

/** Whether this browser can check the signatures: Chromium from 137, Firefox from 129, Safari from 17. */
export async function knowsEd25519() {
  try {
    await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    return true;
  } catch {
    return false;
  }
}

/** A key from `NAME+KEYID+BASE64`; `Malformed` when it is none. */
export async function parseKey(text) {
  const [name, id, ...rest] = text.trim().split("+");
  const bytes = base64(rest.join("+"));
  if (!bytes || bytes.length !== 33 || bytes[0] !== 1) throw new Malformed("A public key is written NAME+ID+BASE64.");
  const keyId = (await sha256(joined(encode(`${name}\n`), bytes))).slice(0, 4);
  if (hex(keyId) !== id) throw new Malformed("The public key is damaged: its id does not fit.");
  const usable = await crypto.subtle.importKey("raw", bytes.slice(1), "Ed25519", true, ["verify"]);
  return { name, id, keyId, usable, text: `${name}+${id}+${toBase64(bytes)}` };
}

/** What `note` states, `{origin, size, root, text}`, unverified; `Malformed` when it is no checkpoint. */
export function readNote(note) {
  const [origin, size, root] = note.split("\n");
  const bytes = base64(root ?? "");
  if (!SIZE.test(size ?? "") || !bytes) throw new Malformed("the text is not a checkpoint");
  return { origin, size: Number(size), root: bytes, text: `${origin}\n${size}\n${toBase64(bytes)}\n` };
}

/** Whether one of `keys` signed `note`. */
export async function isSigned(note, keys) {
  const stated = readNote(note);
  const cut = note.indexOf("\n\n");
  if (`${note.slice(0, cut)}\n` !== stated.text) return false;
  for (const key of keys) {
    if (key.name !== stated.origin) continue;
    for (const line of note.slice(cut + 2).split("\n")) if (await signs(line, key, encode(stated.text))) return true;
  }
  return false;
}

async function signs(line, key, text) {
  const [dash, name, encoded] = line.split(" ");
  const bytes = dash === "—" && name === key.name ? base64(encoded ?? "") : null;
  if (!bytes || bytes.length !== 68 || !equal(bytes.slice(0, 4), key.keyId)) return false;
  return crypto.subtle.verify("Ed25519", key.usable, bytes.slice(4), text);
}

/** The notes of checkpoints.txt: five lines each, and an empty one. */
export function notesOf(text) {
  const lines = text.split("\n");
  const found = [];
  for (let at = 0; at < lines.length - 5; at += 6) found.push(`${lines.slice(at, at + 5).join("\n")}\n`);
  return found;
}
