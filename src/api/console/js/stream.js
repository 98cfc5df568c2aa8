/** The event stream (SSE): what changes, as it changes, and whether we hear of it. */

const PATH = "/api/transcoding/events";
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 30_000;

/**
 * Follows the stream for as long as the page lives.
 *
 * A lost connection is taken up by EventSource itself, with the id of the last event it saw. Where
 * the server refuses (a proxy's 503, an expired session), EventSource gives up; then a new one is
 * opened, which begins with `open`, and what was missed is listed anew.
 */
export class Stream {
  /** `handlers`: `open()`, `media(data)`, `progress(data)`, `link(isLive)`, `refused() → stop?`. */
  constructor(handlers) {
    this.handlers = handlers;
    this.waitMs = FIRST_WAIT_MS;
  }

  start() {
    const source = new EventSource(PATH);
    const on = (name, call) => source.addEventListener(name, (event) => call(JSON.parse(event.data)));
    source.onopen = () => {
      this.waitMs = FIRST_WAIT_MS;
      this.handlers.link(true);
    };
    source.onerror = () => {
      this.handlers.link(false);
      if (source.readyState === EventSource.CLOSED) this.again();
    };
    // EventSource's own event has this name too, without data.
    source.addEventListener("open", (event) => event.data && this.handlers.open());
    on("media", this.handlers.media);
    on("progress", this.handlers.progress);
    return this;
  }

  async again() {
    if (await this.handlers.refused()) return;
    setTimeout(() => this.start(), this.waitMs);
    this.waitMs = Math.min(2 * this.waitMs, LAST_WAIT_MS);
  }
}
