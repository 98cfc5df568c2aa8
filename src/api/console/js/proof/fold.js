/** What each kind of event sets in its item's row: docs/audit.md, the table of events. */

/** An event makes no row. */
export class Unfoldable extends Error {}

export const FIRST = "media.registered";
export const LAST = "media.erased";

const COLUMNS = [
  "status", "creator_id", "media_type", "file_name", "content_type", "declared_size", "r2_key", "deadline_at", "size", "etag",
  "hls_master_playlist_key", "hls_preview_key", "thumbnail_key", "waveform_key", "duration_seconds", "width", "height",
  "transcoding_error", "runpod_job_id", "encoder", "encoder_note",
];

const IS = {
  text: (value) => typeof value === "string",
  texts: (value) => Array.isArray(value) && value.every((each) => typeof each === "string"),
  whole: (value) => Number.isInteger(value),
  number: (value) => typeof value === "number",
  flag: (value) => typeof value === "boolean",
  time: (value) => typeof value === "string" && micros(value) !== null,
};
const either = (kind) => `${kind}?`;

const BIRTH = { creatorId: "text", mediaType: "text", contentType: "text", declaredSize: "whole", uploadDeadline: "time" };
const ERASED_TEXT = "This text was erased.";
const NAMES = { fileName: "text", inputKey: "text" };
const born = (told) => ({
  status: "uploading", creator_id: told.creatorId, media_type: told.mediaType, content_type: told.contentType,
  declared_size: told.declaredSize, deadline_at: told.uploadDeadline,
});
const named = ({ fileName, inputKey }) => ({ file_name: fileName, r2_key: inputKey });
const failed = (code, message, retryable) => ({ status: "failed", deadline_at: null, transcoding_error: { code, message, retryable } });

/**
 * Which fields of a payload are read (as what), and what they set. With `discloses`, the payload has a
 * commitment in place of these fields, which are read from beside it; `sets` gets them as well.
 */
const RULES = {
  [FIRST]: { version: 2, reads: BIRTH, discloses: NAMES, sets: (told, personal) => ({ ...born(told), ...(personal && named(personal)) }) },
  "media.upload_completed": {
    reads: { size: "whole", etag: "text" },
    sets: ({ size, etag }) => ({ status: "uploaded", size, etag }),
  },
  "media.upload_expired": {
    reads: {},
    sets: () => failed("upload_expired", "The file was not uploaded in time.", false),
  },
  "media.transcoding_requested": {
    reads: { attempt: "whole", deadline: "time" },
    sets: ({ attempt, deadline }) => ({ status: "transcoding", transcoding_attempts: attempt, runpod_job_id: null, deadline_at: deadline }),
  },
  "media.transcoding_submitted": {
    reads: { runpodJobId: "text" },
    sets: ({ runpodJobId }) => ({ runpod_job_id: runpodJobId }),
  },
  "media.transcoding_started": { reads: {}, sets: () => ({}) },
  "media.transcoding_completed": {
    reads: {
      hlsMasterPlaylistKey: "text", hlsPreviewKey: "text", thumbnailKey: either("text"), waveformKey: either("text"), durationSeconds: "number",
      width: either("whole"), height: either("whole"), encoder: "text", encoderNote: either("text"),
    },
    sets: (told) => ({
      status: "ready", deadline_at: null, hls_master_playlist_key: told.hlsMasterPlaylistKey, hls_preview_key: told.hlsPreviewKey,
      thumbnail_key: told.thumbnailKey, waveform_key: told.waveformKey, duration_seconds: told.durationSeconds, width: told.width,
      height: told.height, encoder: told.encoder, encoder_note: told.encoderNote,
    }),
  },
  "media.transcoding_failed": {
    version: 2,
    reads: { errorCode: "text", retryable: "flag" },
    discloses: { message: "text" },
    sets: ({ errorCode, retryable }, personal) => failed(errorCode, personal?.message ?? ERASED_TEXT, retryable),
  },
  "media.retry_requested": { reads: {}, sets: () => ({ status: "uploaded", transcoding_error: null }) },
  [LAST]: {
    reads: { commitments: "texts" },
    sets: () => ({
      status: "erased", file_name: null, r2_key: null, size: null, etag: null, deadline_at: null, hls_master_playlist_key: null,
      hls_preview_key: null, thumbnail_key: null, waveform_key: null, duration_seconds: null, width: null, height: null,
      transcoding_error: null, encoder: null, encoder_note: null,
    }),
  },
};

/** Shapes of before: version 1 of what has a newer one. */
const OLDER = {
  [FIRST]: { reads: { ...BIRTH, ...NAMES }, sets: (told) => ({ ...born(told), ...named(told) }) },
  "media.transcoding_failed": {
    reads: { errorCode: "text", message: "text", retryable: "flag" },
    sets: ({ errorCode, message, retryable }) => failed(errorCode, message, retryable),
  },
};

/** A row before its first event. */
export const emptyRow = () => ({ ...Object.fromEntries(COLUMNS.map((name) => [name, null])), transcoding_attempts: 0 });

function ruleOf(type, schemaVersion) {
  const rule = Object.hasOwn(RULES, type) ? RULES[type] : null;
  if (rule && schemaVersion === (rule.version ?? 1)) return rule;
  return schemaVersion === 1 && Object.hasOwn(OLDER, type) ? OLDER[type] : null;
}

/** Whether such an event has a commitment in place of what is personal. */
export const commits = (type, schemaVersion) => Boolean(ruleOf(type, schemaVersion)?.discloses);

/** What an event sets, by column, with what it commits to or null for that; `Unfoldable` if nobody can say. */
export function setBy(type, schemaVersion, payload, personal = null) {
  const rule = ruleOf(type, schemaVersion);
  if (!rule) throw new Unfoldable(`${type} of version ${schemaVersion} is not known here`);
  check(payload, { ...rule.reads, ...(rule.discloses && { commitment: "text" }) }, "its payload is malformed");
  if (personal !== null) check(personal, rule.discloses ?? {}, "its personal fields are malformed");
  return rule.sets(payload, personal);
}

function check(found, reads, what) {
  if (found === null || typeof found !== "object" || Array.isArray(found)) throw new Unfoldable(what);
  for (const [name, kind] of Object.entries(reads)) {
    const [expected, mayLack] = kind.endsWith("?") ? [kind.slice(0, -1), true] : [kind, false];
    const value = found[name];
    if (!(mayLack && value === null) && !IS[expected](value)) throw new Unfoldable(`${what} (${name})`);
  }
}

const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::?\d\d)?)?$/;

/** A time in microseconds, however it is written; null for what is none. */
export function micros(text) {
  const [whole, date, time, fraction = "", zone = "Z"] = TIME.exec(text) ?? [];
  if (!whole) return null;
  const seconds = Date.parse(`${date}T${time}${/^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone}`);
  return Number.isNaN(seconds) ? null : seconds * 1000 + Number(fraction.padEnd(6, "0"));
}

const TIMES = ["deadline_at", "created_at", "updated_at"];

/** The columns in which two rows differ, in the order of their names. */
export function differing(shown, expected) {
  const names = new Set([...Object.keys(shown), ...Object.keys(expected)]);
  return [...names].filter((name) => !(name in shown && name in expected && same(name, shown[name], expected[name]))).sort();
}

function same(name, a, b) {
  if (TIMES.includes(name) && typeof a === "string" && typeof b === "string") return a === b || (micros(a) !== null && micros(a) === micros(b));
  return canonical(a) === canonical(b);
}

/** JSON as RFC 8785 writes it: keys in the order of their UTF-16 code units. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}
