/** The library at `/`: files in, their progress, what became of them. */

import { media } from "./api.js";
import { Card } from "./card.js";
import { button, fill, h, icon, speak, write } from "./dom.js";
import { counted } from "./format.js";
import { Library } from "./library.js";
import { sweep } from "./remembered.js";
import { session, showAccount, showSignIn } from "./session.js";
import { Stream } from "./stream.js";
import { Upload } from "./uploads.js";
import { Watch } from "./watch.js";

const FILTERS = { all: "All", busy: "In progress", ready: "Ready", failed: "Failed" };
const main = document.getElementById("main");

class Console {
  constructor(me) {
    this.me = me;
    this.cards = new Map();
    this.library = new Library((entry, before) => this.changed(entry, before));
    this.watch = new Watch(() => location.hash && history.pushState(null, "", location.pathname));
    this.link = h("span", { class: "link-state", role: "status" }, "Connecting …");
    this.list = h("ul", { class: "items", "aria-label": "Your items" });
    this.empty = h("div", { class: "empty panel", hidden: true });
    this.more = button("Show older items", () => this.guard(() => this.library.more()), { class: "more", hidden: true });
    this.wrong = h("p", { class: "notice bad", role: "alert", hidden: true });
    this.filter = h("select", { id: "filter", on: { change: () => this.arrange() } },
      Object.entries(FILTERS).map(([value, words]) => h("option", { value }, words)));
  }

  start() {
    showAccount(this.me, this.link);
    fill(main, this.dropZone(), this.wrong, h("section", { "aria-labelledby": "items-title" },
      h("div", { class: "head" }, h("h2", { id: "items-title" }, "Your items"), h("label", { class: "row small", for: "filter" }, "Show", this.filter)),
      this.list, this.empty, h("div", { class: "row" }, this.more)));
    this.followStream();
    addEventListener("hashchange", () => this.route());
    addEventListener("beforeunload", (event) => this.sending && event.preventDefault());
    this.route();
    sweep();
  }

  followStream() {
    new Stream({
      open: () => this.guard(() => this.library.load()),
      media: (told) => this.library.take(told.media),
      progress: (told) => this.library.progress(told),
      link: (isLive) => this.showLink(isLive),
      refused: async () => {
        if ((await session().catch(() => this.me)) === null) {
          location.reload();
          return true;
        }
        // Where no stream gets through, the list is at least looked at with each try.
        await this.guard(() => this.library.load());
        return false;
      },
    }).start();
  }

  showLink(isLive) {
    this.link.className = `link-state ${isLive ? "live" : "lost"}`;
    write(this.link, isLive ? "Live" : "Connection lost, trying again …");
  }

  get sending() {
    return [...this.library.entries.values()].some(({ upload }) => upload?.active);
  }

  dropZone() {
    const picker = h("input", { type: "file", multiple: true, accept: "video/*,audio/*,.mkv,.mxf", class: "visually-hidden", id: "files", tabIndex: -1, "aria-label": "Files to upload" });
    picker.addEventListener("change", () => {
      this.upload([...picker.files]);
      picker.value = "";
    });
    const zone = h("section", { class: "drop", "aria-labelledby": "drop-title" },
      h("div", {}, h("h1", { id: "drop-title" }, "Upload video or audio"),
        h("p", { class: "quiet" }, "Drop files anywhere on this page, or choose them. An upload that breaks off goes on when you choose the same file again.")),
      button("Choose files", () => picker.click(), { class: "primary", picture: "add" }), picker);
    this.takeDrops(zone);
    return zone;
  }

  takeDrops(zone) {
    let depth = 0;
    const show = (change) => {
      depth = Math.max(0, depth + change);
      zone.classList.toggle("over", depth > 0);
    };
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => hasFiles(event) && show(1));
    addEventListener("dragleave", (event) => hasFiles(event) && show(-1));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      show(-depth);
      this.upload([...event.dataTransfer.files]);
    });
  }

  upload(files) {
    const fresh = files.filter((file) => !this.isUnderWay(file));
    for (const file of fresh) {
      const upload = new Upload(file, this.me.subject, {
        changed: (changed) => this.uploadChanged(changed),
        registered: (changed, item) => this.library.attach(changed, item),
      });
      this.library.begin(upload);
      upload.run();
    }
    if (fresh.length) speak(`Uploading ${counted(fresh.length, "file")}.`);
  }

  isUnderWay({ name, size, lastModified }) {
    return [...this.library.entries.values()].some(({ upload }) =>
      upload?.active && upload.file.name === name && upload.file.size === size && upload.file.lastModified === lastModified);
  }

  uploadChanged(upload) {
    const entry = this.library.entries.get(upload.mediaId) ?? this.library.entries.get(upload.key);
    if (!entry) return;
    if (upload.state === "done") entry.upload = null;
    if (upload.state === "stopped") {
      entry.upload = null;
      if (!upload.mediaId) return this.library.drop(upload.key);
    }
    this.changed(entry);
  }

  changed(entry, before) {
    if (entry === null) return this.arrange();
    this.tellChange(entry, before);
    const card = this.cards.get(entry.key);
    if (!card || before?.status !== entry.media?.status) return this.arrange();
    card.update(entry);
  }

  /** Those who do not see the list hear of its ends. */
  tellChange({ media: item }, before) {
    if (!before || before.status === item.status) return;
    if (item.status === "ready") speak(`${item.fileName} is ready.`);
    if (item.status === "failed") speak(`${item.fileName} failed. ${item.error?.message ?? ""}`);
  }

  arrange() {
    const entries = this.library.sorted();
    const shown = entries.filter((entry) => this.isShown(entry));
    for (const [key, card] of this.cards) if (!this.library.entries.has(key)) this.forget(key, card);
    const elements = shown.map((entry) => this.card(entry).element);
    // Only what is out of place is moved: an element that is moved loses the focus.
    for (const element of [...this.list.children]) if (!elements.includes(element)) element.remove();
    elements.forEach((element, at) => this.list.children[at] === element || this.list.insertBefore(element, this.list.children[at] ?? null));
    this.showEmpty(entries.length, shown.length);
    this.more.hidden = !this.library.cursor;
  }

  forget(key, card) {
    card.element.remove();
    this.cards.delete(key);
  }

  card(entry) {
    const found = this.cards.get(entry.key);
    if (found) {
      found.update(entry);
      return found;
    }
    const card = new Card(entry, {
      watch: (id) => (location.hash = `#/media/${id}`),
      again: (upload) => upload.run(),
      take: (item) => this.library.take(item),
      stop: (current) => this.stop(current),
    });
    this.cards.set(entry.key, card);
    return card;
  }

  async stop({ upload, media: item }) {
    if (upload) await upload.stop();
    else await media.abort(item.id);
  }

  isShown({ media: item, upload }) {
    const wanted = this.filter.value;
    if (wanted === "all") return true;
    if (wanted === "busy") return upload?.active || ["uploading", "uploaded", "transcoding"].includes(item?.status);
    return item?.status === wanted;
  }

  showEmpty(all, shown) {
    this.empty.hidden = shown > 0 || !this.library.loaded;
    if (this.empty.hidden) return;
    const words = all ? ["Nothing here", "No item is in this state."] : ["Nothing uploaded yet", "Your files will be listed here, with how far each one is."];
    fill(this.empty, icon("film"), h("h2", {}, words[0]), h("p", {}, words[1]));
  }

  route() {
    const id = /^#\/media\/([0-9a-f-]+)$/.exec(location.hash)?.[1];
    if (id) this.watch.open(id);
    else this.watch.close();
  }

  async guard(work) {
    try {
      await work();
      this.wrong.hidden = true;
    } catch (error) {
      write(this.wrong, error.message);
      this.wrong.hidden = false;
    }
  }
}

async function begin() {
  try {
    const me = await session();
    if (!me) return await showSignIn(main, "creator");
    if (me.roles.includes("creator")) return new Console(me).start();
    showAccount(me);
    fill(main, h("p", { class: "notice" }, "Your session has no role of a creator, so there is no library. ", h("a", { href: "/audit" }, "To the audit")));
  } catch (error) {
    fill(main, h("p", { class: "notice bad", role: "alert" }, error.message));
  }
}

await begin();
