/** The auditor's view at `/audit`: the ledger, one item's history, and the proof. */

import { fill, h } from "./dom.js";
import { Ledger } from "./ledger.js";
import { Prover } from "./prover.js";
import { session, showAccount, showSignIn } from "./session.js";
import { Timeline } from "./timeline.js";

const ROUTE = /^#\/media\/([0-9a-f-]{36})(?:\/(\d{1,9}))?$/;
const main = document.getElementById("main");

function start() {
  const timeline = new Timeline({ chosen: (version) => history.replaceState(null, "", `#/media/${timeline.id}/${version}`) ?? timeline.go(version) });
  const prover = new Prover({ proven: (verdict) => timeline.takeProof(verdict) });
  const ledger = new Ledger({ kept: () => prover.showKept() });
  fill(main, h("h1", {}, "Audit"), prover.element, h("div", { class: "columns" }, h("div", { class: "side" }, search(), ledger.element), timeline.element));
  const route = () => {
    const [, id, version] = ROUTE.exec(location.hash) ?? [];
    if (id) timeline.open(id, version && Number(version));
  };
  addEventListener("hashchange", route);
  route();
  ledger.start();
}

function search() {
  const field = h("input", { id: "wanted", type: "text", spellcheck: "false", autocomplete: "off", required: true, pattern: "\\s*[0-9a-fA-F\\-]{36}\\s*", title: "The id of an item" });
  const submit = (event) => {
    event.preventDefault();
    location.hash = `#/media/${field.value.trim().toLowerCase()}`;
  };
  return h("form", { class: "search", on: { submit } }, h("label", { for: "wanted" }, "Item by its id"), h("div", { class: "copy" }, field, h("button", { type: "submit" }, "Show")));
}

try {
  const me = await session();
  const mayRead = me?.roles.some((role) => role === "auditor" || role === "admin");
  if (me) showAccount(me);
  if (!me) await showSignIn(main, "auditor");
  else if (mayRead) start();
  else fill(main, h("p", { class: "notice" }, "Your session has no role of an auditor. ", h("a", { href: "/" }, "To your library")));
} catch (error) {
  fill(main, h("p", { class: "notice bad", role: "alert" }, error.message));
}
