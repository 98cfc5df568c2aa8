/** Bytes to the bucket: one PUT with progress, a few at a time, again after what passes. */

const AT_ONCE = 4;
const TRIES = 8;
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 30_000;
/** Without a byte sent for so long, a PUT is given up and tried again. */
const STALLED_MS = 60_000;
/** What a browser sets by itself and lets nobody else set. */
const OWN_HEADERS = new Set(["content-length", "host"]);

/** The bucket refused (`status`), or could not be reached (`status` 0). */
export class TransferFailed extends Error {
  constructor(status) {
    super(status ? `The storage refused the file (it answered ${status}).` : "The storage cannot be reached. Check the connection.");
    this.status = status;
  }
}

/** Lets only so many run at once; the others wait in the order they came. */
class Gate {
  constructor(places) {
    this.free = places;
    this.waiting = [];
  }

  async through(work) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((go) => this.waiting.push(go));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}

const gate = new Gate(AT_ONCE);

/**
 * PUTs `blob` to where `target()` says (`{url, headers}`; asked for each try, told whether it is
 * a later one; nothing where none is needed any more). `sent(bytes)` is told how much of it is on its way; `waits(isWaiting)` when
 * it has to be tried again.
 */
export async function transfer(blob, target, { sent, waits, signal }) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await gate.through(async () => {
        const place = await target(attempt > 1);
        if (place) await put(blob, place, sent, signal);
      });
      if (attempt > 1) waits(false);
      return;
    } catch (error) {
      const passing = error instanceof TransferFailed ? passes(error.status) : error.passing;
      if (!passing || attempt === TRIES) throw error;
      sent(0);
      waits(true);
      await pause(Math.min(FIRST_WAIT_MS * 2 ** attempt, LAST_WAIT_MS), signal);
    }
  }
}

// 403: the URL expired, and the next one will not have.
const passes = (status) => status === 0 || status === 403 || status === 408 || status === 429 || status >= 500;

function put(blob, { url, headers = {}, method = "PUT" }, sent, signal) {
  return new Promise((done, fail) => {
    if (signal.aborted) return fail(signal.reason);
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let watch = 0;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(stop, STALLED_MS);
    };
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) if (!OWN_HEADERS.has(name.toLowerCase())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      alive();
      sent(event.loaded);
    };
    request.onloadend = () => {
      clearTimeout(watch);
      signal.removeEventListener("abort", stop);
      if (signal.aborted) return fail(signal.reason);
      // 412: an earlier try arrived after all, and the URL never overwrites.
      if ((request.status >= 200 && request.status < 300) || request.status === 412) {
        sent(blob.size);
        return done();
      }
      fail(new TransferFailed(request.status));
    };
    signal.addEventListener("abort", stop);
    alive();
    request.send(blob);
  });
}

/** Waits; less where the network comes back meanwhile. */
export function pause(milliseconds, signal) {
  return new Promise((go, stop) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      if (signal.aborted) stop(signal.reason);
      else go();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
