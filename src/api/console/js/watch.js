/** The dialog in which an item is watched or heard, and everything known of it is read. */

import { media as api } from "./api.js";
import { button, fill, h } from "./dom.js";
import { copy } from "./copy.js";
import { bytes, clock, exactly } from "./format.js";
import { Player } from "./player.js";

/** One dialog for the page; `closed()` is called when it is left. */
export class Watch {
  constructor(closed) {
    this.sheet = h("div", { class: "sheet" });
    this.dialog = h("dialog", { "aria-labelledby": "watch-title" }, this.sheet);
    this.dialog.addEventListener("close", () => {
      this.player?.stop();
      this.player = this.id = null;
      fill(this.sheet);
      closed();
    });
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    document.body.append(this.dialog);
  }

  /** Shows the item; its own sentence where the service refuses. */
  async open(id) {
    if (this.id === id) return;
    this.player?.stop();
    this.id = id;
    this.fill("Loading …", h("progress", { "aria-label": "Loading" }));
    if (!this.dialog.open) this.dialog.showModal();
    try {
      const [item, playback] = await Promise.all([api.one(id), api.playback(id)]);
      if (this.id === id) await this.show(item, playback);
    } catch (error) {
      this.fill("It cannot be shown", h("p", { class: "notice bad", role: "alert" }, error.message));
    }
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  async show(item, playback) {
    this.player = new Player(item, playback, { renew: () => api.playback(item.id) });
    this.fill(item.fileName, this.player.element, address(playback.masterUrl), details(item, playback));
    this.player.play.focus();
    await this.player.start();
  }

  fill(title, ...parts) {
    const close = button("Close", () => this.dialog.close(), { picture: "close" });
    fill(this.sheet, h("header", {}, h("h1", { id: "watch-title" }, title), close), parts);
  }
}

function address(url) {
  const field = h("input", { id: "address", type: "text", readOnly: true, value: url });
  field.addEventListener("focus", () => field.select());
  const said = h("p", { class: "quiet small", role: "status" }, "For any player, without signing in, for a limited time.");
  const work = async () => {
    try {
      await copy(url);
      said.textContent = "Copied.";
    } catch {
      field.select();
      said.textContent = "The browser does not let this page copy: the address is selected, copy it yourself.";
    }
  };
  return h("div", { class: "field" }, h("label", { for: "address" }, "Playback address"),
    h("div", { class: "copy" }, field, button("Copy", work, { picture: "copy" })), said);
}

function details(item, { loudness, notes }) {
  const rows = [
    ["Length", clock(item.durationSeconds)],
    item.height && ["Picture", `${item.width} × ${item.height}`],
    ["Original", `${bytes(item.size)}, ${item.contentType}`],
    ["Encoder", item.encoderNote ? `${item.encoder} (${item.encoderNote})` : item.encoder],
    loudness && loudness.integratedLufs !== null && ["Loudness", `${loudness.integratedLufs.toFixed(1)} LUFS`],
    ["Uploaded", exactly(item.createdAt)],
    ...notes.map((note) => ["Note", note]),
  ].filter(Boolean);
  return h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}
