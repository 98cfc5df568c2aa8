/** The message that an event rests on: fetched when it is opened, and held to the hash in the event. */

import { evidence } from "./audit_api.js";
import { fill, h, icon } from "./dom.js";
import { short } from "./format.js";
import { hex, sha256 } from "./proof/bytes.js";

const KINDS = { worker_callback: "What the worker reported", runpod_status: "What RunPod answered when it was asked" };

/** What stands under "Evidence" of an event that names the message of this SHA-256. */
export function evidenceOf(digest) {
  if (!digest) return "None: it rests on the call itself";
  const body = h("div", { class: "message" });
  const details = h("details", { on: { toggle: () => (details.open ? load(body, digest) : fill(body)) } }, h("summary", {}, "The message itself"), body);
  return ["A kept message, SHA-256 ", h("code", { title: digest }, short(digest, 20)), details];
}

async function load(body, digest) {
  fill(body, h("p", { class: "quiet" }, "Loading …"));
  try {
    const { kind, bytes } = await evidence(digest);
    const isIt = hex(await sha256(bytes)) === digest;
    fill(body,
      h("p", { class: isIt ? "good" : "bad" }, icon(isIt ? "check" : "cross"), isIt ? " Hashed here: it is the message that the event names" : " Hashed here: it is another message than the event names"),
      h("p", { class: "quiet" }, KINDS[kind] ?? kind),
      h("pre", { tabIndex: 0 }, readable(bytes)));
  } catch (error) {
    fill(body, h("p", { class: "notice bad", role: "alert" }, error.message));
  }
}

/** JSON laid out; anything else as the text it is. */
function readable(bytes) {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
