/** HLS in a media element: by hls.js where Media Source Extensions are, else by the browser itself. */

const WORKER = "/console/vendor/hls.worker.js";

/**
 * Plays `url` in `element`. Answers `{levels, choose(index), current(), stop()}`; no levels where the
 * browser plays by itself and chooses alone. `failed(sentence, mayBeOld)` is called when it ends badly.
 */
export async function attach(element, url, { ready, failed }) {
  const { default: Hls } = await import("/console/vendor/hls.min.mjs");
  if (!Hls.isSupported()) return native(element, url, { ready, failed });
  const hls = new Hls({ workerPath: WORKER, capLevelToPlayerSize: true, maxBufferLength: 30 });
  hls.on(Hls.Events.MANIFEST_PARSED, () => ready(levelsOf(hls)));
  hls.on(Hls.Events.ERROR, (_, { fatal, type, response }) => {
    if (!fatal) return;
    if (type === Hls.ErrorTypes.MEDIA_ERROR && !hls.mended) {
      hls.mended = true;
      return hls.recoverMediaError();
    }
    failed(sentence(type, Hls.ErrorTypes), response?.code === 403 || response?.code === 404);
  });
  hls.loadSource(url);
  hls.attachMedia(element);
  return {
    choose: (index) => {
      hls.currentLevel = index;
      if (element.paused) showOnce(hls, Hls.Events.FRAG_BUFFERED, element);
    },
    current: () => (hls.autoLevelEnabled ? hls.currentLevel : -1),
    onSwitch: (call) => hls.on(Hls.Events.LEVEL_SWITCHED, call),
    stop: () => hls.destroy(),
  };
}

/** While nothing plays, the picture changes only where one seeks. */
function showOnce(hls, buffered, element) {
  const show = (_, { frag }) => {
    if (frag.type !== "main") return;
    hls.off(buffered, show);
    element.currentTime = Math.max(0, element.currentTime - 0.05);
  };
  hls.on(buffered, show);
}

function native(element, url, { ready, failed }) {
  element.src = url;
  element.addEventListener("loadedmetadata", () => ready([]), { once: true });
  element.addEventListener("error", () => failed("This browser cannot play the file.", true), { once: true });
  return {
    choose: () => {},
    current: () => -1,
    onSwitch: () => {},
    stop: () => {
      element.removeAttribute("src");
      element.load();
    },
  };
}

/** `[{index, name}]`, the best first. */
function levelsOf({ levels }) {
  const named = levels.map(({ height, bitrate, videoCodec }, index) => ({
    index,
    bitrate,
    name: height ? `${height}p${videoCodec?.startsWith("hvc1") ? " (HEVC)" : ""}` : `${Math.round(bitrate / 1000)} kbit/s`,
  }));
  return named.sort((a, b) => b.bitrate - a.bitrate);
}

const sentence = (type, types) =>
  type === types.NETWORK_ERROR
    ? "The film cannot be loaded any further. Check the connection, then press play again."
    : "This browser cannot play the file. Copy the playback address and open it in another player.";
