/** The ledger as it grows: its newest entries, and the newest checkpoint. */

import { checkpoint, eventsAfter } from "./audit_api.js";
import { button, fill, h, icon, write } from "./dom.js";
import { actorOf, eventName } from "./event_words.js";
import { exactly, short } from "./format.js";
import { keep, keptSizes } from "./kept.js";

const SHOWN = 50;
const EVERY_MS = 5_000;

/** Asks for what is new every five seconds while somebody can see it. */
export class Ledger {
  constructor({ kept }) {
    this.kept = kept;
    this.last = null;
    this.list = h("ol", { class: "entries", reversed: true });
    this.empty = h("p", { class: "quiet", hidden: true }, "Nothing has been recorded yet.");
    this.seal = h("div", { class: "seal" });
    this.live = h("input", { type: "checkbox", checked: true });
    this.wrong = h("p", { class: "notice bad small", role: "alert", hidden: true });
    this.element = h("section", { class: "panel ledger", "aria-labelledby": "ledger-title" },
      h("div", { class: "head" }, h("h2", { id: "ledger-title" }, "Ledger"), h("label", { class: "check small" }, this.live, "Live")),
      this.seal, this.wrong, this.list, this.empty);
  }

  start() {
    this.round();
    document.addEventListener("visibilitychange", () => this.round());
    this.live.addEventListener("change", () => this.round());
  }

  async round() {
    clearTimeout(this.timer);
    if (document.hidden || (!this.live.checked && this.last !== null)) return;
    try {
      await this.look();
      this.wrong.hidden = true;
    } catch (error) {
      write(this.wrong, error.message);
      this.wrong.hidden = false;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.round(), EVERY_MS);
  }

  async look() {
    const first = this.last === null;
    if (first) await this.showCheckpoint();
    const found = await eventsAfter(this.last ?? Math.max(0, (this.checkpoint?.size ?? 0) - SHOWN));
    this.last = found.at(-1)?.seq ?? this.last ?? 0;
    this.list.prepend(...found.slice(-SHOWN).reverse().map((entry) => this.entry(entry, !first)));
    while (this.list.children.length > SHOWN) this.list.lastElementChild.remove();
    this.empty.hidden = this.list.children.length > 0;
    if (!first && (found.length || this.last > (this.checkpoint?.size ?? 0))) await this.showCheckpoint();
  }

  entry({ seq, mediaId, event }, isNew) {
    const { who, which } = actorOf(event.actor);
    const link = h("a", { href: `#/media/${mediaId}/${event.version}` },
      h("span", { class: "seq" }, String(seq)),
      h("span", { class: "what" }, eventName(event.type)),
      h("span", { class: "small quiet" }, `${who} ${short(which, 18)} · `, h("time", { datetime: event.recordedAt }, exactly(event.recordedAt))),
      h("span", { class: "small quiet mono" }, short(mediaId, 8)));
    return h("li", { class: isNew ? "fresh" : "" }, link);
  }

  async showCheckpoint() {
    this.checkpoint = await checkpoint();
    const found = this.checkpoint;
    if (!found) return fill(this.seal, h("p", { class: "quiet" }, "Nothing is sealed yet."));
    const sizes = keptSizes();
    const isKept = sizes.includes(found.size);
    const work = () => {
      keep(found.note);
      this.showKept();
      this.kept();
    };
    this.keeper ??= button("Keep it in this browser", () => work(), { picture: "shield" });
    this.keeper.disabled = isKept;
    const note = URL.createObjectURL(new Blob([found.note], { type: "text/plain" }));
    if (this.note) URL.revokeObjectURL(this.note);
    this.note = note;
    fill(this.seal, h("h3", {}, "Newest checkpoint"),
      h("dl", { class: "facts small" },
        h("dt", {}, "Covers"), h("dd", {}, h("strong", {}, String(found.size)), found.size === 1 ? " event" : " events"),
        h("dt", {}, "Signed"), h("dd", {}, exactly(found.signedAt)),
        h("dt", {}, "Root"), h("dd", { class: "mono", title: found.root }, short(found.root, 24)),
        h("dt", {}, "Key"), h("dd", { class: "mono" }, found.publicKey)),
      h("div", { class: "row" }, this.keeper, h("a", { class: "button", href: note, download: `checkpoint-${found.size}.txt` }, icon("copy"), "Download")));
  }

  showKept() {
    this.keeper.disabled = keptSizes().includes(this.checkpoint.size);
  }
}
