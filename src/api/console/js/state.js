/** An item as of a version: the service's answer, held against what the events make of it here. */

import { fill, h, icon } from "./dom.js";
import { columnName, valueOf } from "./event_words.js";
import { canonical } from "./proof/fold.js";

/** Columns of the row, and where the service's answer has them. */
const SHOWN = {
  status: (item) => item.status,
  creator_id: null,
  media_type: (item) => item.mediaType,
  file_name: (item) => item.fileName,
  content_type: (item) => item.contentType,
  declared_size: (item) => item.size,
  transcoding_attempts: (item) => item.attempts,
  transcoding_error: (item) => item.error && { code: item.error.code, message: item.error.message, retryable: item.error.retryable },
  runpod_job_id: null,
  duration_seconds: (item) => item.durationSeconds,
  width: (item) => item.width,
  height: (item) => item.height,
  encoder: (item) => item.encoder,
  encoder_note: (item) => item.encoderNote,
  hls_master_playlist_key: (item) => item.outputs.hlsMasterPlaylistKey,
  hls_preview_key: (item) => item.outputs.hlsPreviewKey,
  thumbnail_key: (item) => item.outputs.thumbnailKey,
  waveform_key: (item) => item.outputs.waveformKey,
};

/** Shows `item` in `place`. `row` is folded here; `before` is the row one event earlier. */
export function showState(place, item, row, before) {
  const differ = row ? Object.keys(SHOWN).filter((name) => SHOWN[name] && canonical(SHOWN[name](item)) !== canonical(row[name])) : [];
  fill(place, verdict(row, differ), h("dl", { class: "facts small state-rows" }, Object.entries(SHOWN).flatMap(([name, read]) => {
    const value = read ? read(item) : row?.[name];
    if (value === null || value === undefined) return [];
    const isNew = Boolean(before && row && canonical(before[name]) !== canonical(row[name]));
    return [h("dt", {}, columnName(name)), h("dd", { class: isNew ? "changed" : "" }, valueOf(value), isNew ? h("span", { class: "badge" }, "changed") : null)];
  })));
}

function verdict(row, differ) {
  if (!row) return h("p", { class: "notice" }, "This browser cannot fold these events: they have a newer form.");
  if (!differ.length) return h("p", { class: "agrees good small" }, icon("check"), "The service's answer for this version is what the events make, folded here.");
  return h("p", { class: "agrees bad small" }, icon("cross"), `The service's answer differs from its events in ${differ.map(columnName).join(", ")}.`);
}
