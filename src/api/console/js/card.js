/** One item in the list. Built once and changed in place, so that focus stays where it is. */

import { media as api } from "./api.js";
import { button, fill, h, icon, speak, write } from "./dom.js";
import { copyPlayback } from "./copy.js";
import { moment } from "./format.js";
import { facts, mark, mayRetry, progressOf, trouble } from "./words.js";

let count = 0;

/** A list item for `entry`. `actions`: `watch(id)`, `again(upload)`, `stop(entry)`. */
export class Card {
  constructor(entry, actions) {
    this.actions = actions;
    count += 1;
    const id = `item-${count}`;
    this.name = h("h3", { class: "name", id });
    this.picture = h("div", { class: "picture" });
    this.meta = h("p", { class: "meta" });
    this.state = h("span", { class: "state" });
    this.bar = h("progress", { max: 100, "aria-labelledby": id });
    this.doing = h("p", { class: "small quiet" });
    this.trouble = h("div", {});
    this.notice = h("p", { class: "notice bad small", role: "alert", hidden: true });
    this.wide = h("div", { class: "wide" }, this.bar, this.doing, this.trouble, this.notice);
    this.buttons = h("div", { class: "actions" });
    const words = h("div", { class: "words" }, this.name, this.meta);
    this.element = h("li", { class: "item" }, this.picture, words, this.buttons, this.wide);
    this.offered = null;
    this.update(entry);
  }

  update(entry) {
    this.entry = entry;
    const { media, upload } = entry;
    write(this.name, media?.fileName ?? upload.file.name);
    this.element.dataset.status = upload?.active ? "sending" : (media?.status ?? upload.state);
    if (media) this.element.dataset.id = media.id;
    this.showMark();
    this.showProgress();
    this.showTrouble();
    this.showButtons();
    this.showPicture();
  }

  showMark() {
    const [kind, picture, words] = mark(this.entry);
    const shown = [words, ...facts(this.entry), this.entry.media ? moment(this.entry.media.createdAt) : ""].join();
    if (shown === this.marked) return;
    this.marked = shown;
    this.state.className = `state ${kind}`;
    fill(this.state, icon(picture), words);
    const date = this.entry.media && h("time", { datetime: this.entry.media.createdAt }, moment(this.entry.media.createdAt));
    fill(this.meta, this.state, facts(this.entry).map((fact) => h("span", {}, fact)), date);
  }

  showProgress() {
    const progress = progressOf(this.entry);
    this.bar.hidden = this.doing.hidden = !progress;
    if (!progress) return;
    if (progress.percent === null) this.bar.removeAttribute("value");
    else this.bar.value = progress.percent;
    write(this.doing, progress.words);
  }

  showTrouble() {
    const found = trouble(this.entry);
    const key = found && JSON.stringify(found);
    if (key !== this.told) {
      this.told = key;
      const why = found?.why && h("p", {}, found.why);
      fill(this.trouble, found && h("div", { class: found.why ? "why" : "quiet small" }, why, h("p", { class: "quiet" }, found.hint)));
    }
    this.wide.hidden = this.bar.hidden && !found && this.notice.hidden;
  }

  showButtons() {
    const { media, upload } = this.entry;
    const offered = this.asking ? ["sure", "keep"] : [
      media?.status === "ready" && "watch", media?.status === "ready" && "copy", upload?.state === "failed" && "again",
      mayRetry(this.entry) && "retry", (upload?.active || media?.status === "uploading") && upload?.state !== "checking" && "stop",
      ["ready", "failed"].includes(media?.status) && !upload?.active && "erase",
    ].filter(Boolean);
    if (offered.join() === this.offered) return;
    this.offered = offered.join();
    const had = this.buttons.contains(document.activeElement);
    fill(this.buttons, offered.map((name) => this.button(name)));
    if (had) (this.buttons.querySelector("button") ?? this.focusable()).focus();
  }

  focusable() {
    this.element.tabIndex = -1;
    return this.element;
  }

  button(name) {
    const { media, upload } = this.entry;
    const called = media?.fileName ?? upload.file.name;
    const make = (words, picture, work, kind = "") =>
      button(words, () => this.attempt(work), { picture, class: kind, "aria-label": `${words}: ${called}` });
    if (name === "watch") {
      const isFilm = media.mediaType === "video";
      return make(isFilm ? "Watch" : "Listen", "play", () => this.actions.watch(media.id), "primary");
    }
    if (name === "copy") return make("Copy link", "copy", () => copyPlayback(media.id));
    if (name === "again") return make("Try again", "retry", () => this.actions.again(this.entry.upload), "primary");
    if (name === "retry") return make("Try again", "retry", () => this.retry(), media.error?.retryable ? "primary" : "");
    if (name === "erase") return make("Erase", "bin", () => this.ask(true));
    if (name === "sure") return make("Erase for good", "bin", () => this.erase(), "danger");
    if (name === "keep") return make("Keep it", "back", () => this.ask(false));
    return make("Cancel", "close", () => this.actions.stop(this.entry));
  }

  async retry() {
    this.actions.take(await api.retry(this.entry.media.id));
    speak("Trying again.");
  }

  /** Erasing is asked about in place of the other buttons: nothing brings an item back. */
  ask(asking) {
    this.asking = asking;
    this.showButtons();
    this.buttons.querySelector("button:last-child").focus(); // To keep it, and then the one that asked.
    if (asking) speak("File, outputs and name would be gone for good. Erase it, or keep it?");
  }

  async erase() {
    const beside = this.element.nextElementSibling ?? this.element.previousElementSibling;
    this.actions.take(await api.erase(this.entry.media.id));
    (beside?.querySelector("button") ?? document.querySelector(".drop button")).focus();
    speak("Erased.");
  }

  /** Does it; a refusal is shown with its own sentence. */
  async attempt(work) {
    this.notice.hidden = true;
    try {
      await work();
    } catch (error) {
      write(this.notice, error.message);
      this.notice.hidden = this.wide.hidden = false;
    }
  }

  showPicture() {
    const { media, upload } = this.entry;
    const isFilm = media ? media.mediaType === "video" : !upload.file.type.startsWith("audio");
    const wanted = media?.status === "ready" && isFilm ? "poster" : isFilm ? "film" : "sound";
    if (wanted === this.pictured) return;
    this.pictured = wanted;
    fill(this.picture, icon(isFilm ? "film" : "sound"));
    if (wanted === "poster") whenSeen(this.picture, () => this.showPoster(media.id));
  }

  async showPoster(id) {
    try {
      const { posterUrl } = await api.playback(id);
      if (!posterUrl) return;
      const image = h("img", { src: posterUrl, alt: "" });
      await image.decode();
      fill(this.picture, image);
    } catch {
      // It keeps the sign of its kind: a picture beside a name is not worth a message.
    }
  }
}

const calls = new WeakMap();
const sight = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    calls.get(target)();
  }
}, { rootMargin: "200px" });

function whenSeen(element, call) {
  calls.set(element, call);
  sight.observe(element);
}
