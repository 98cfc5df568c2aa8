/** The button that proves: everything in a bundle is checked here in the browser. */

import { bundle } from "./audit_api.js";
import { button, fill, h, icon, write } from "./dom.js";
import { bytes, counted } from "./format.js";
import { dropAll, keptNotes, keptSizes } from "./kept.js";
import { knowsEd25519, notesOf } from "./proof/note.js";
import { Malformed, Unreadable, verify } from "./proof/verify.js";

const SHOWN = 20;

/** `proven(verdict)` is called with what was found. */
export class Prover {
  constructor({ proven }) {
    this.proven = proven;
    this.key = h("input", { id: "key", type: "text", spellcheck: "false", autocomplete: "off", placeholder: "name+id+base64", "aria-describedby": "key-hint" });
    this.since = h("textarea", { id: "since", rows: "5", spellcheck: "false", "aria-describedby": "since-hint" });
    this.keptLine = h("p", { class: "row small" });
    this.verdict = h("div", { class: "verdict", role: "status", "aria-live": "polite" });
    this.bar = h("progress", { max: 1, "aria-label": "Verifying", hidden: true });
    this.now = button("Verify the ledger now", () => this.run("The ledger", bundle), { class: "primary", picture: "shield" });
    this.file = h("input", { type: "file", accept: ".zip", class: "visually-hidden", id: "bundle", tabIndex: -1, "aria-label": "A bundle file" });
    this.element = this.panel();
    this.listen();
    this.showKept();
  }

  panel() {
    const choose = button("Verify a bundle file", () => this.file.click(), { picture: "add" });
    return h("section", { class: "panel prover", "aria-labelledby": "prover-title" },
      h("h2", { id: "prover-title" }, "Proof"),
      h("p", { class: "quiet" }, "Signatures, the Merkle tree, each event's hash and chain, and the shown state are checked in this browser, ",
        "on the bundle that the service exports or on one that you drop here. The service is not asked whether it is right."),
      h("div", { class: "row" }, this.now, choose, this.file, h("a", { class: "button", href: "/api/audit/bundle", download: "codex-media-audit.zip" }, icon("copy"), "Download the bundle")),
      this.brought(), this.bar, this.verdict);
  }

  /** What an auditor brings: without it a proof is worth little. */
  brought() {
    return h("details", {}, h("summary", {}, "What you bring yourself: the published key, checkpoints you kept"),
      h("div", { class: "brought" },
        h("div", { class: "field" }, h("label", { for: "key" }, "Published public key"), this.key,
          h("p", { class: "quiet small", id: "key-hint" }, "As the operator published it, elsewhere. Several are separated by spaces.")),
        h("div", { class: "field" }, h("label", { for: "since" }, "Checkpoints kept from earlier"), this.since,
          h("p", { class: "quiet small", id: "since-hint" }, "Whole notes, an empty line between them. They bind even the holder of the key.")),
        this.keptLine));
  }

  listen() {
    this.file.addEventListener("change", () => {
      const [file] = this.file.files;
      if (file) this.run(file.name, async () => file);
      this.file.value = "";
    });
    addEventListener("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    addEventListener("drop", (event) => {
      const [file] = event.dataTransfer?.files ?? [];
      if (!file) return;
      event.preventDefault();
      this.run(file.name, async () => file);
    });
  }

  showKept() {
    const sizes = keptSizes();
    const drop = () => {
      dropAll();
      this.showKept();
    };
    fill(this.keptLine, sizes.length ? `Kept in this browser, and always checked: those of size ${sizes.join(", ")}.` : "None is kept in this browser yet.",
      sizes.length && button("Forget them", drop, { class: "plain" }));
  }

  async run(name, load) {
    this.element.className = "panel prover";
    if (!(await this.able())) return;
    this.now.disabled = true;
    this.bar.hidden = false;
    this.bar.removeAttribute("value");
    write(this.verdict, "Reading …");
    const begun = performance.now();
    try {
      const blob = await load();
      const found = await verify(blob, { ...this.given(), progress: (step, done, total) => this.progress(step, done, total) });
      this.show(found, name, blob.size, performance.now() - begun);
      this.proven(found);
    } catch (error) {
      this.refuse(error, name);
    } finally {
      this.bar.hidden = true;
      this.now.disabled = false;
    }
  }

  async able() {
    const lack = !globalThis.crypto?.subtle
      ? "This page came over an unprotected connection, so the browser keeps its cryptography from it. Use https, or verify with codex-media audit verify."
      : (await knowsEd25519()) ? null
        : "This browser cannot check Ed25519 signatures (Chromium can from version 137, Firefox from 129, Safari from 17). Verify with codex-media audit verify.";
    if (lack) fill(this.verdict, h("p", { class: "notice bad" }, lack));
    return !lack;
  }

  given() {
    const keys = this.key.value.split(/\s+/).filter(Boolean);
    const typed = this.since.value.trim() ? notesOf(`${this.since.value.trim()}\n\n`) : [];
    return { keys, since: [...keptNotes(), ...typed] };
  }

  progress(step, done, total) {
    write(this.verdict, `${step}: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`);
    if (total) this.bar.value = done / total;
  }

  show(found, name, size, milliseconds) {
    this.element.classList.add(found.ok ? "proved" : "refuted");
    const title = found.ok ? "Proven: nothing was changed" : `The proof fails, first at ${placeOf(found.findings[0])}`;
    const read = `${counted(found.events, "event")} of ${counted(found.streams, "item")}, ${counted(found.checkpoints, "checkpoint")}, `
      + `the newest covers ${found.covered}. ${name}, ${bytes(size)}, in ${(milliseconds / 1000).toFixed(1)} s.`;
    fill(this.verdict, h("p", { class: "title" }, icon(found.ok ? "check" : "cross"), title), h("p", {}, read),
      found.ok ? null : h("ul", { class: "findings" }, found.findings.slice(0, SHOWN).map((each) => h("li", {}, h("strong", {}, placeOf(each)), `: ${each.what}.`))),
      warnings(found).map((text) => h("p", { class: "notice" }, text)));
  }

  refuse(error, name) {
    const known = error instanceof Unreadable ? `${name} is not a bundle that can be read: ${error.message}.` : error.message;
    this.element.classList.add("refuted");
    fill(this.verdict, h("p", { class: "title" }, icon("cross"), "Not verified"), h("p", {}, known));
    if (!(error instanceof Unreadable || error instanceof Malformed || error.status !== undefined)) throw error;
  }
}

const placeOf = ({ first, last }) => (first === last ? `event ${first}` : `somewhere in events ${first} to ${last}`);

function warnings({ ownKey, keys, covered, events }) {
  const told = [];
  if (ownKey) told.push(`The key is the bundle's own (${keys[0].text}): this proves nothing about who signed. Compare it with the published one, or enter that above.`);
  if (events > covered) told.push(`Events ${covered + 1} to ${events} are not covered by a checkpoint yet, and may still change unseen.`);
  return told;
}
