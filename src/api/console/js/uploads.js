/** A file on its way: registered, sent in parts, completed; resumed where an earlier try left off. */

import { media, ServiceError } from "./api.js";
import { bind, forget, remember } from "./remembered.js";
import { pause, transfer } from "./transfer.js";

const CALL_TRIES = 8;
const BY_ENDING = {
  aac: "audio/aac", aif: "audio/aiff", aiff: "audio/aiff", avi: "video/x-msvideo", flac: "audio/flac", m4a: "audio/mp4",
  m4v: "video/x-m4v", mkv: "video/x-matroska", mov: "video/quicktime", mp3: "audio/mpeg", mp4: "video/mp4", mpg: "video/mpeg",
  mts: "video/mp2t", mxf: "video/mxf", ogg: "audio/ogg", opus: "audio/ogg", ts: "video/mp2t", wav: "audio/wav", webm: "video/webm",
  wma: "audio/x-ms-wma", wmv: "video/x-ms-wmv",
};

/** What the browser says the file is, else what its name says. */
export function typeOf(file) {
  const known = file.type.split(";")[0];
  return /^(audio|video)\//.test(known) ? known : (BY_ENDING[file.name.split(".").pop().toLowerCase()] ?? (known || "application/octet-stream"));
}

let count = 0;

/**
 * One upload. `state` is `waiting`, `sending`, `interrupted` (goes on by itself), `checking`, `done`,
 * `stopped` (by its creator) or `failed` (with `problem`, a sentence). `sent` of `file.size` bytes
 * have arrived or are on their way.
 */
export class Upload {
  constructor(file, subject, { changed, registered }) {
    Object.assign(this, { file, subject, changed, registered });
    count += 1;
    this.key = `upload-${count}`;
    this.mediaId = null;
    this.begin();
  }

  begin() {
    this.stopper = new AbortController();
    this.state = "waiting";
    this.problem = null;
    this.resumed = false;
    this.flying = new Map();
    this.arrived = 0;
  }

  get sent() {
    let flying = 0;
    for (const bytes of this.flying.values()) flying += bytes;
    return Math.min(this.file.size, this.arrived + flying);
  }

  get active() {
    return ["waiting", "sending", "interrupted", "checking"].includes(this.state);
  }

  /** Carries it through; never throws. Call again after `failed`: what has arrived stays. */
  async run() {
    if (this.state === "failed") this.begin();
    try {
      const upload = await this.place();
      if (upload) await this.send(upload);
      this.become("checking");
      if (upload) this.registered(this, await this.patiently(() => media.complete(this.mediaId, this.stopper.signal)));
      forget(this.subject, this.file);
      this.become("done");
    } catch (error) {
      if (this.stopper.signal.aborted) return this.become("stopped");
      this.problem = error instanceof ServiceError || error.name === "Error" ? error.message : "The file cannot be read any more. Choose it again.";
      this.become("failed");
    }
  }

  /** Ends it for good. */
  async stop() {
    this.stopper.abort();
    forget(this.subject, this.file);
    if (this.mediaId) await media.abort(this.mediaId);
  }

  become(state) {
    this.state = state;
    this.changed(this);
  }

  /** Where the bytes go: as an earlier try had it, or anew. Null where all have arrived already. */
  async place() {
    const known = remember(this.subject, this.file);
    const earlier = known.mediaId && (await this.earlier(known.mediaId));
    if (earlier) return earlier.upload;
    const { key } = remember(this.subject, this.file);
    const { name: fileName, size } = this.file;
    const wanted = { fileName, contentType: typeOf(this.file), size };
    const found = await this.patiently(() => media.register(wanted, key, this.stopper.signal));
    return this.take(found).upload;
  }

  take(found) {
    this.mediaId = found.media.id;
    bind(this.subject, this.file, this.mediaId);
    this.registered(this, found.media);
    return found;
  }

  /** The upload of an item that waits for this very file; null if none does any more. */
  async earlier(mediaId) {
    try {
      const found = await this.patiently(() => media.upload(mediaId, this.stopper.signal));
      this.resumed = true;
      return this.take(found);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.passing) throw error;
      forget(this.subject, this.file);
      const item = error.status === 409 ? await this.patiently(() => media.one(mediaId)) : null;
      // Its end was not told to us, but all had arrived.
      return item && item.status !== "failed" ? this.take({ media: item, upload: null }) : null;
    }
  }

  async send(upload) {
    this.become("sending");
    if (upload.kind === "parts") return this.sendParts(upload);
    return this.sendOne(this.file, "whole", upload, (renewed) => renewed, this.stopper.signal);
  }

  async sendParts({ parts, done, partSize }) {
    const end = (number) => Math.min(number * partSize, this.file.size);
    for (const number of done) this.arrived += end(number) - (number - 1) * partSize;
    this.changed(this);
    const sending = new AbortController();
    const signal = AbortSignal.any([this.stopper.signal, sending.signal]);
    const each = parts.map((part) => {
      const start = (part.number - 1) * partSize;
      const pick = (renewed) => renewed.parts.find(({ number }) => number === part.number);
      return this.sendOne(this.file.slice(start, start + part.size), part.number, part, pick, signal);
    });
    try {
      await Promise.all(each);
    } finally {
      sending.abort(); // Where one failed for good, the others stop too.
      await Promise.allSettled(each);
    }
  }

  async sendOne(blob, name, first, pick, signal) {
    // A part that is not asked for any more has arrived.
    const target = async (again) => (again ? pick((await media.upload(this.mediaId, signal)).upload) : first);
    await transfer(blob, target, {
      signal,
      sent: (bytes) => {
        this.flying.set(name, bytes);
        this.changed(this);
      },
      waits: (isWaiting) => this.become(isWaiting ? "interrupted" : "sending"),
    });
    this.flying.delete(name);
    this.arrived += blob.size;
    this.changed(this);
  }

  /** A call of the service, again while what hinders it may pass. */
  async patiently(work) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof ServiceError) || !error.passing || attempt === CALL_TRIES) throw error;
        this.become("interrupted");
        await pause(Math.min(500 * 2 ** attempt, 15_000), this.stopper.signal);
      }
    }
  }
}
