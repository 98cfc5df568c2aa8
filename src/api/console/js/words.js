/** What an entry of the library says of itself: its state in words, and how far it is. */

import { about, bytes, clock, ordinal } from "./format.js";

const STAGES = { download: "Fetching the file", probe: "Looking at it", encode: "Encoding", upload: "Storing the result", finish: "Finishing" };
const UPLOADS = {
  waiting: ["busy", "clock", "Waiting to upload"],
  sending: ["busy", "up", "Uploading"],
  interrupted: ["busy", "retry", "Interrupted, trying again"],
  checking: ["busy", "clock", "Checking the upload"],
  failed: ["bad", "cross", "Upload failed"],
};
const STATUSES = {
  uploading: ["", "up", "Waiting for its file"],
  uploaded: ["busy", "clock", "Uploaded"],
  transcoding: ["busy", "clock", "In progress"],
  ready: ["good", "check", "Ready"],
  failed: ["bad", "cross", "Failed"],
};
export const MAX_ATTEMPTS = 2;

/** `[kind, picture, words]` of the mark beside the name. */
export const mark = ({ media, upload }) => (upload && UPLOADS[upload.state]) || STATUSES[media?.status] || STATUSES.uploading;

/** `{percent, words}` where something is under way; `percent` null where nobody knows. */
export function progressOf({ media, progress, upload }) {
  if (upload?.active) return uploadProgress(upload);
  if (media?.status !== "transcoding") return null;
  if (!progress) return { percent: null, words: "Waiting for a machine" };
  const { percent, stage, rung, secondsLeft, queuePosition } = progress;
  const place = queuePosition ? `${ordinal(queuePosition)} in line` : null;
  const doing = [STAGES[stage] ?? stage, rung].filter(Boolean).join(" ");
  const left = secondsLeft === null || secondsLeft === undefined ? null : `${about(secondsLeft)} left`;
  return { percent, words: [`${Math.floor(percent)} %`, place ?? doing, left].filter(Boolean).join(" · ") };
}

function uploadProgress(upload) {
  const percent = (100 * upload.sent) / upload.file.size;
  const words = [`${Math.floor(percent)} %`, `${bytes(upload.sent)} of ${bytes(upload.file.size)}`];
  if (upload.resumed) words.push("goes on where it stopped");
  return { percent, words: words.join(" · ") };
}

/** What else is worth knowing, shortly. */
export function facts({ media, upload }) {
  const size = bytes(media?.size ?? upload.file.size);
  if (media?.status !== "ready") return [size];
  return [clock(media.durationSeconds), media.height ? `${media.width} × ${media.height}` : "sound", size];
}

/** What is wrong, and what to do: `{why, hint}`; null if nothing is. */
export function trouble({ media, upload }) {
  if (upload?.state === "failed") return { why: upload.problem, hint: "What has arrived is kept. Trying again sends only the rest." };
  if (media?.status === "uploading" && !upload?.active) {
    return { why: null, hint: "This page is not sending it. Choose the same file again, and the upload goes on where it stopped." };
  }
  return media?.error ? { why: media.error.message, hint: media.error.hint } : null;
}

/** Whether the service would try once more. */
export const mayRetry = ({ media }) => media?.status === "failed" && media.attempts > 0 && media.attempts < MAX_ATTEMPTS;
