/** Events, actors and columns in words. */

const EVENTS = {
  "media.registered": "Registered",
  "media.upload_completed": "Upload completed",
  "media.upload_expired": "Upload expired",
  "media.transcoding_requested": "Transcoding requested",
  "media.transcoding_submitted": "Job submitted",
  "media.transcoding_started": "Transcoding started",
  "media.transcoding_completed": "Transcoding completed",
  "media.transcoding_failed": "Transcoding failed",
  "media.retry_requested": "Retry requested",
  "media.erased": "Erased",
};
const ACTORS = { creator: "Creator", worker: "Worker", system: "The service", runpod: "RunPod" };

/** "media.transcoding_started" → "Transcoding started". */
export const eventName = (type) => EVENTS[type] ?? type;

/** "creator:alice" → `{who: "Creator", which: "alice"}`. */
export function actorOf(actor) {
  const [kind, ...rest] = actor.split(":");
  return { who: ACTORS[kind] ?? kind, which: rest.join(":") };
}

/** A value of a row, as text. */
export function valueOf(value) {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "object") return value.code ? `${value.code}: ${value.message}` : JSON.stringify(value);
  return String(value);
}

/** "hls_master_playlist_key" → "hls master playlist key". */
export const columnName = (name) => name.replaceAll("_", " ");
