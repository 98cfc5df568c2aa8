/** An event as the API tells it, brought back into the text that is hashed (docs/audit.md, the format). */

import { encode, hex, sha256 } from "./bytes.js";
import { canonical, micros } from "./fold.js";
import { commitmentOf } from "./personal.js";

/** The hash of `event` of the item `mediaId`, computed here, in hexadecimal. */
export async function hashOf(mediaId, event) {
  const lines = [
    "codex-media.event.v1", mediaId, event.version, event.eventId, event.type, event.schemaVersion, event.actor, event.correlationId,
    event.causationId ?? "", event.traceparent ?? "", event.evidence ?? "", utc(event.occurredAt), utc(event.recordedAt), event.prevHash,
    canonical(event.payload),
  ];
  return hex(await sha256(encode(lines.join("\n"))));
}

function utc(text) {
  const all = micros(text);
  const fraction = ((all % 1e6) + 1e6) % 1e6;
  return `${new Date((all - fraction) / 1000).toISOString().slice(0, 19)}.${String(fraction).padStart(6, "0")}Z`;
}

/** Of each event: whether its hash is what it holds, whether it names the one before, and whether it commits to what is beside it. */
export async function checkChain(mediaId, events) {
  const hashes = await Promise.all(events.map((event) => hashOf(mediaId, event)));
  const commitments = await Promise.all(events.map((event) => event.personal && commitmentOf(event.personal)));
  return events.map((event, at) => ({
    isCommitted: commitments[at] === event.payload.commitment,
    isHashed: hashes[at] === event.hash,
    follows: event.prevHash === (at ? events[at - 1].hash : "") && event.version === at + 1,
  }));
}
