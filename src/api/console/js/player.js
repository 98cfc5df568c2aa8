/** The player: play, seek (with a glimpse or over the waveform), loudness, quality, full screen. */

import { button, fill, h, icon, write } from "./dom.js";
import { clock } from "./format.js";
import { attach } from "./source.js";
import { glimpses } from "./storyboard.js";
import { waveform } from "./waveform.js";

const STEP_S = 5;

/** Plays what `playback` (the service's answer) names. `renew()` gets a fresh one when it is too old. */
export class Player {
  constructor(item, playback, { renew }) {
    Object.assign(this, { item, playback, renew, isSound: item.mediaType === "audio" });
    this.video = h("video", { playsinline: true, preload: "metadata", poster: playback.posterUrl, crossorigin: "anonymous", "aria-label": item.fileName });
    this.bar = h("input", { type: "range", min: "0", max: String(item.durationSeconds), step: "any", value: "0", "aria-label": "Position" });
    this.time = h("span", { class: "time" });
    this.play = button("Play", () => this.toggle(), { picture: "play", class: "primary play" });
    this.quality = h("select", { id: "quality", on: { change: () => this.choose() } });
    this.qualityField = h("label", { for: "quality", hidden: true }, "Quality", this.quality);
    this.wrong = h("p", { class: "notice bad", role: "alert", hidden: true });
    this.element = h("div", { class: `player${this.isSound ? " sound" : ""}` }, this.video, this.seekBar(), this.controls(), this.wrong);
    this.listen();
    this.show();
  }

  seekBar() {
    this.canvas = this.isSound && this.playback.waveformUrl ? h("canvas", { role: "presentation" }) : null;
    return (this.seek = h("div", { class: this.canvas ? "wave" : "seek" }, this.canvas, this.bar));
  }

  controls() {
    const loudness = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: "1", "aria-label": "Loudness" });
    loudness.addEventListener("input", () => (this.video.volume = Number(loudness.value)));
    this.mute = button("", () => (this.video.muted = !this.video.muted), { "aria-label": "Mute", "aria-pressed": "false", picture: "loud" });
    const full = button("", () => this.video.requestFullscreen(), { "aria-label": "Full screen", picture: "full" });
    return h("div", { class: "controls" }, this.play, this.time, h("span", { class: "loud" }, loudness), this.mute, this.qualityField, this.isSound ? null : full);
  }

  listen() {
    const { video, bar } = this;
    for (const name of ["timeupdate", "seeking", "durationchange", "loadedmetadata"]) video.addEventListener(name, () => this.show());
    for (const name of ["play", "pause", "ended"]) video.addEventListener(name, () => this.showPlaying());
    video.addEventListener("volumechange", () => this.showMute());
    video.addEventListener("click", () => this.toggle());
    bar.addEventListener("input", () => (video.currentTime = Number(bar.value)));
    // "any" makes the arrows' step too small to be felt.
    bar.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -6, PageUp: 6 }[event.key];
      if (!way) return;
      event.preventDefault();
      video.currentTime = Math.min(this.duration, Math.max(0, video.currentTime + way * STEP_S));
    });
  }

  get duration() {
    return Number.isFinite(this.video.duration) ? this.video.duration : this.item.durationSeconds;
  }

  async start() {
    if (this.canvas) this.drawWave(this.playback.waveformUrl);
    if (this.playback.storyboardUrl) glimpses(this.playback.storyboardUrl, this.seek, this.bar, () => this.duration).catch(() => {});
    await this.load();
  }

  async load() {
    this.source = await attach(this.video, this.playback.masterUrl, {
      ready: (levels) => this.offer(levels),
      failed: (sentence, mayBeOld) => this.failed(sentence, mayBeOld),
    });
    this.source.onSwitch(() => this.showLevel());
  }

  async drawWave(url) {
    try {
      this.draw = await waveform(url, this.canvas);
      this.show();
    } catch (error) {
      this.tell(error.message);
    }
  }

  /** Once, the addresses may only have been too old. */
  async failed(sentence, mayBeOld) {
    const at = this.video.currentTime;
    this.source.stop();
    if (!mayBeOld || this.renewed) return this.tell(sentence);
    this.renewed = true;
    try {
      this.playback = await this.renew();
      await this.load();
      this.video.currentTime = at;
    } catch (error) {
      this.tell(error.message);
    }
  }

  tell(sentence) {
    write(this.wrong, sentence);
    this.wrong.hidden = false;
  }

  toggle() {
    this.wrong.hidden = true;
    if (!this.video.paused) return this.video.pause();
    this.video.play().catch((error) => error.name === "AbortError" || this.tell("The browser does not let it play."));
  }

  offer(levels) {
    this.levels = levels;
    fill(this.quality, h("option", { value: "-1" }, "Auto"), levels.map(({ index, name }) => h("option", { value: String(index) }, name)));
    this.qualityField.hidden = levels.length < 2;
  }

  choose() {
    this.source.choose(Number(this.quality.value));
    this.showLevel();
  }

  /** Which one "Auto" has chosen. */
  showLevel() {
    const now = this.levels?.find(({ index }) => index === this.source.current());
    write(this.quality.options[0], now ? `Auto (${now.name})` : "Auto");
  }

  show() {
    const [at, end] = [this.video.currentTime, this.duration];
    this.bar.max = String(end);
    this.bar.value = String(at);
    this.bar.setAttribute("aria-valuetext", `${clock(at)} of ${clock(end)}`);
    write(this.time, `${clock(at)} / ${clock(end)}`);
    this.draw?.(end ? at / end : 0);
  }

  showPlaying() {
    const paused = this.video.paused;
    fill(this.play, icon(paused ? "play" : "pause"), document.createTextNode(paused ? "Play" : "Pause"));
  }

  showMute() {
    const silent = this.video.muted || this.video.volume === 0;
    this.mute.setAttribute("aria-pressed", String(silent));
    fill(this.mute, icon(silent ? "mute" : "loud"));
  }

  stop() {
    this.video.pause();
    this.source?.stop();
  }
}
