/** What is known of the creator's items, and who wants to hear when it changes. */

import { media } from "./api.js";

const PAGE = 50;

/**
 * An entry: `{key, media, progress, upload}`. `key` is the media id, or a name of our own until
 * there is one; `upload` is what this page is sending.
 */
export class Library {
  constructor(changed) {
    this.changed = changed;
    this.entries = new Map();
    this.cursor = null;
    this.loaded = false;
  }

  /** The first page anew; items of later pages stay. */
  async load() {
    const page = await media.list({ limit: PAGE });
    if (!this.loaded) this.cursor = page.nextCursor;
    this.loaded = true;
    for (const item of page.items) this.take(item);
    this.changed(null);
  }

  /** The next page. */
  async more() {
    const page = await media.list({ limit: PAGE, cursor: this.cursor });
    this.cursor = page.nextCursor;
    for (const item of page.items) this.take(item);
    this.changed(null);
  }

  /** An item as the service knows it; an older version than is known changes nothing. */
  take(item) {
    if (item.status === "erased") return this.erased(item);
    const entry = this.entries.get(item.id) ?? this.add({ key: item.id });
    if (entry.media && entry.media.version > item.version) return entry;
    const before = entry.media;
    entry.media = item;
    if (item.status !== "transcoding" || before?.attempts !== item.attempts) entry.progress = null;
    this.changed(entry, before);
    return entry;
  }

  /** Nothing is shown of an item that is no more. */
  erased(item) {
    this.drop(item.id);
    return { key: item.id, media: item };
  }

  /** How far a job is. Of an item that we do not show, nothing. */
  progress(told) {
    const entry = this.entries.get(told.mediaId);
    if (entry?.media?.status !== "transcoding" || told.version < entry.media.version) return;
    entry.progress = told;
    this.changed(entry, entry.media);
  }

  add(entry) {
    this.entries.set(entry.key, entry);
    return entry;
  }

  /** An upload that has no item yet. */
  begin(upload) {
    const entry = this.add({ key: upload.key, upload });
    this.changed(entry);
    return entry;
  }

  /** The upload's item is known: its entry is the item's from now on. */
  attach(upload, item) {
    this.entries.delete(upload.key);
    const entry = this.take(item);
    entry.upload = upload;
    this.changed(null);
  }

  /** An upload that came to nothing, or an item that is no more. */
  drop(key) {
    this.entries.delete(key);
    this.changed(null);
  }

  /** Newest first; what is not registered yet before all. */
  sorted() {
    const time = (entry) => (entry.media ? Date.parse(entry.media.createdAt) : Infinity);
    return [...this.entries.values()].sort((a, b) => (time(a) === time(b) ? 0 : time(b) - time(a)));
  }
}
