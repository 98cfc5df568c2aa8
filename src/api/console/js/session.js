/** Who is signed in, and the page for who is not. */

import { call, get, post, ServiceError } from "./api.js";
import { button, fill, h } from "./dom.js";

/** Who I am, `{subject, roles}`; null if nobody. */
export async function session() {
  try {
    return await get("/api/session");
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

/** Whether one can sign in right here: only a local service takes it, and says what is missing. */
async function signsInHere() {
  try {
    await post("/api/session", {});
  } catch (error) {
    return error.status === 422;
  }
  return false;
}

/** Shows who is signed in, and a way out. */
export function showAccount({ subject }, ...more) {
  const leave = async () => {
    await call("DELETE", "/api/session");
    location.reload();
  };
  const out = button("Sign out", leave, { class: "plain" });
  fill(document.getElementById("account"), ...more, h("span", { class: "quiet" }, "Signed in as ", h("strong", {}, subject)), out);
}

/** Asks for a name on a local service; else tells where one signs in. */
export async function showSignIn(main, wanted) {
  fill(main, (await signsInHere()) ? form(wanted) : elsewhere());
  main.querySelector("input")?.focus();
}

function elsewhere() {
  return h("section", { class: "panel sign-in" },
    h("h1", {}, "You are not signed in"),
    h("p", {}, "This console uses the session of the application it belongs to. Sign in there, then load this page again."),
    h("p", { class: "quiet small" }, "For operators: the service takes a JWT from the cookie ", h("code", {}, "session"),
      " of this address. See docs/console.md."),
    button("Load again", () => location.reload(), { class: "primary" }));
}

const ROLES = [["creator", "Creator: upload and watch"], ["auditor", "Auditor: read and prove all history"]];

function form(wanted) {
  const name = h("input", { id: "creator", name: "creator", type: "text", required: true, autocomplete: "username", spellcheck: "false",
    pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}", value: "demo-creator", "aria-describedby": "creator-hint" });
  const roles = ROLES.map(([role, words]) =>
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "role", value: role, checked: role === "creator" || role === wanted }), words));
  const wrong = h("p", { class: "notice bad", role: "alert", hidden: true });
  const send = async (event) => {
    event.preventDefault();
    const chosen = [...event.target.querySelectorAll("[name=role]:checked")].map((box) => box.value);
    try {
      await post("/api/session", { creator: name.value.trim(), roles: chosen });
      location.reload();
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      wrong.textContent = error.message;
      wrong.hidden = false;
    }
  };
  return h("section", { class: "panel sign-in" },
    h("div", {}, h("h1", {}, "Sign in"), h("p", { class: "quiet" }, "This is a local service: any name will do.")),
    h("form", { on: { submit: send } },
      h("div", { class: "field" }, h("label", { for: "creator" }, "Name"), name,
        h("p", { class: "quiet small", id: "creator-hint" }, "Letters, digits, _ and -. Each name sees its own items alone.")),
      h("fieldset", {}, h("legend", {}, "As"), roles), wrong,
      h("button", { class: "primary", type: "submit" }, "Sign in")));
}
