/** What the audit pages ask of the service. Each of these reads is itself put on record there. */

import { call, get, ServiceError } from "./api.js";

const BUNDLE_TIMEOUT_MS = 600_000;

/** The newest checkpoint; null before the first. */
export async function checkpoint() {
  try {
    return await get("/api/audit/checkpoint");
  } catch (error) {
    if (error instanceof ServiceError && error.code === "no_checkpoint") return null;
    throw error;
  }
}

/** The ledger's events after that place, in order. */
export async function eventsAfter(seq) {
  const answer = await call("GET", `/api/audit/events?after=${seq}`);
  return (await answer.text()).split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** An item's history, with hashes. */
export const history = (id) => get(`/api/media/${id}/events`);

/** The item as after so many events. */
export const asOf = (id, version) => get(`/api/media/${id}?version=${version}`);

/** The message with that SHA-256, byte by byte as it came, and what kind of message it is. */
export async function evidence(digest) {
  const answer = await call("GET", `/api/audit/evidence/${digest}`);
  return { kind: answer.headers.get("evidence-kind"), bytes: new Uint8Array(await answer.arrayBuffer()) };
}

/** The whole proof, as a Blob. */
export async function bundle() {
  const answer = await call("GET", "/api/audit/bundle", { timeoutMs: BUNDLE_TIMEOUT_MS });
  try {
    return await answer.blob();
  } catch {
    throw new ServiceError(0, "unreachable", "The bundle broke off on its way. Try again.");
  }
}
