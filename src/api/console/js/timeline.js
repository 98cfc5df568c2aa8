/** One item's history: every event, who caused it, what it changed, what it rests on, its proof. */

import { asOf, history } from "./audit_api.js";
import { fill, h, icon, write } from "./dom.js";
import { evidenceOf } from "./evidence.js";
import { actorOf, columnName, eventName, valueOf } from "./event_words.js";
import { exactly, short } from "./format.js";
import { hex } from "./proof/bytes.js";
import { checkChain } from "./proof/event.js";
import { canonical, emptyRow, setBy } from "./proof/fold.js";
import { showState } from "./state.js";

/** Shows an item and a version of it; `chosen(version)` is called when another one is asked for. */
export class Timeline {
  constructor({ chosen }) {
    this.chosen = chosen;
    this.id = null;
    this.answers = new Map();
    this.element = h("section", { class: "timeline", "aria-label": "Item" }, hint());
  }

  async open(id, version) {
    if (this.id !== id) await this.load(id);
    if (this.id === id && this.events) await this.go(Math.min(Math.max(1, version ?? this.events.length), this.events.length));
  }

  async load(id) {
    Object.assign(this, { id, events: null });
    this.answers.clear();
    fill(this.element, h("p", { class: "quiet" }, "Loading …"));
    try {
      const found = await history(id);
      const checks = await checkChain(id, found.events);
      if (this.id === id) this.build(found, checks);
    } catch (error) {
      fill(this.element, h("p", { class: "notice bad", role: "alert" }, error.message));
    }
  }

  build({ events, seal }, checks) {
    this.events = events;
    this.rows = foldAll(events);
    this.slider = h("input", { id: "version", type: "range", min: "1", max: String(events.length), step: "1", "aria-describedby": "version-told" });
    this.slider.addEventListener("input", () => this.chosen(Number(this.slider.value)));
    this.told = h("p", { id: "version-told", class: "quiet small" });
    this.state = h("div", {});
    this.items = events.map((event, at) => this.event(event, checks[at], seal, at));
    const name = events[0].personal?.fields.fileName ?? events[0].payload.fileName ?? this.id;
    fill(this.element,
      h("div", { class: "panel" }, h("h2", {}, name), h("p", { class: "mono quiet small" }, this.id),
        h("div", { class: "slider" }, h("label", { for: "version" }, "As of version"), this.slider, this.told), this.state),
      h("ol", { class: "events", "aria-label": "Events" }, this.items));
    this.markProven();
  }

  async go(version) {
    this.slider.value = String(version);
    const event = this.events[version - 1];
    const words = `Version ${version} of ${this.events.length}: ${eventName(event.type)}, ${exactly(event.recordedAt)}`;
    write(this.told, words);
    this.slider.setAttribute("aria-valuetext", words);
    this.items.forEach((item, at) => {
      item.classList.toggle("later", at >= version);
      if (at === version - 1) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    try {
      if (!this.answers.has(version)) this.answers.set(version, asOf(this.id, version));
      const item = await this.answers.get(version);
      if (this.slider.value === String(version)) showState(this.state, item, this.rows[version - 1], this.rows[version - 2]);
    } catch (error) {
      this.answers.delete(version);
      fill(this.state, h("p", { class: "notice bad", role: "alert" }, error.message));
    }
  }

  event(event, check, seal, at) {
    const { who, which } = actorOf(event.actor);
    const proof = h("ul", { class: "proof" },
      fact(check.isHashed, "Hash recomputed here: it is what the event says", "Hash recomputed here: the event says another"),
      fact(check.follows, at ? "Names the hash of the event before" : "The first of its item", "Does not follow the event before"),
      event.personal && fact(check.isCommitted, "Commits to the personal fields beside it: recomputed here", "The personal fields beside it are not those that it commits to"),
      covered(seal));
    return h("li", { class: `event panel${check.isHashed && check.follows ? "" : " wrong"}`, dataset: { version: String(event.version), hash: event.hash } },
      h("div", { class: "head" }, h("h3", {}, h("a", { href: `#/media/${this.id}/${event.version}` }, `${event.version}. ${eventName(event.type)}`)),
        h("time", { class: "quiet small", datetime: event.recordedAt }, exactly(event.recordedAt))),
      h("dl", { class: "facts small" },
        h("dt", {}, "Caused by"), h("dd", {}, who, " ", h("span", { class: "mono" }, which)),
        h("dt", {}, "Changed"), h("dd", {}, changes(this.rows[at - 1], this.rows[at])),
        h("dt", {}, "Evidence"), h("dd", {}, evidenceOf(event.evidence)),
        h("dt", {}, "Hash"), h("dd", { class: "mono", title: event.hash }, short(event.hash, 24))),
      proof, h("details", { class: "small" }, h("summary", {}, "Everything it holds"), h("pre", { tabIndex: 0 }, JSON.stringify(event, null, 2))));
  }

  /** What a verified bundle holds of these events. */
  takeProof(verdict) {
    this.proof = verdict;
    this.markProven();
  }

  markProven() {
    if (!this.proof?.ok || !this.events) return;
    const { leaves, covered: size } = this.proof;
    for (const item of this.items) {
      item.querySelector(".tree")?.remove();
      const at = leaves.findIndex((leaf) => item.dataset.hash.startsWith(hex(leaf.subarray(0, 2))) && hex(leaf) === item.dataset.hash);
      const isIn = at >= 0 && at < size;
      const line = fact(isIn, `At place ${at + 1} of the tree that you verified`, "Not in the bundle that you verified");
      line.classList.add("tree");
      item.querySelector(".proof").append(line);
    }
  }
}

const hint = () => h("div", { class: "empty panel" }, icon("shield"), h("h2", {}, "Choose an event"), h("p", {}, "The item's whole history is shown here: who did what, what it changed, and what proves it."));

/** The row after each event; null where it cannot be folded here. */
function foldAll(events) {
  const rows = [];
  for (const event of events) {
    const before = rows.length ? rows.at(-1) : emptyRow();
    try {
      rows.push(before && { ...before, ...setBy(event.type, event.schemaVersion, event.payload, event.personal?.fields) });
    } catch {
      rows.push(null);
    }
  }
  return rows;
}

function changes(before = emptyRow(), after) {
  if (!after || !before) return "It cannot be told here: the event has a newer form";
  const names = Object.keys(after).filter((name) => canonical(after[name]) !== canonical(before[name]));
  if (!names.length) return "Nothing of the shown state";
  return h("ul", { class: "changes" }, names.map((name) => h("li", {}, h("span", { class: "quiet" }, columnName(name)), " ",
    before[name] === null ? null : [h("del", {}, valueOf(before[name])), " → "], h("span", { class: "mono" }, valueOf(after[name])))));
}

const fact = (isGood, good, bad) => h("li", { class: isGood ? "good" : "bad" }, icon(isGood ? "check" : "cross"), isGood ? good : bad);

function covered(seal) {
  if (!seal) return h("li", { class: "quiet" }, icon("clock"), "Not sealed yet");
  if (!seal.checkpoint) return h("li", { class: "quiet" }, icon("clock"), "Sealed, and not covered by a checkpoint yet");
  return h("li", { class: "good" }, icon("check"), `Sealed at or before place ${seal.seq}; the checkpoint of size ${seal.checkpoint.size} covers it`);
}
