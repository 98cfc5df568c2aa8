"""HTML out of Python values: text is escaped, and never becomes markup."""

import re
from collections.abc import Iterable
from html import escape

_CODE = re.compile(r"`([^`]+)`|\[([^\]]+)\]\((/[^)\s]*)\)")


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


Child = str | Html | None | Iterable["Child"]


def tag(name: str, *children: Child, **attributes: str | None) -> Html:
    """An element. `class_` is `class`, `aria_label` is `aria-label`; None leaves one out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Child) -> Html:
    """Children one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(escape(children, quote=False))
    return Html("".join(joined(each) for each in children))


def prose(text: str) -> Html:
    """Text whose `code` and [links](/path) are meant as such; a blank line ends a paragraph."""
    return joined(tag("p", words(part)) for part in text.split("\n\n") if part.strip())


def words(text: str) -> Html:
    """A sentence whose `code` and [links](/path) are meant as such."""
    parts, last = list[Child](), 0
    for found in _CODE.finditer(text):
        parts.append(text[last : found.start()])
        code, label, target = found.groups()
        parts.append(tag("code", code) if code else tag("a", label, href=target))
        last = found.end()
    return joined([*parts, text[last:]])


def table(head: Iterable[str], rows: Iterable[Iterable[Child]], caption: str) -> Html:
    """A table; the first cell of a row is its heading."""
    lines = [_row(list(row)) for row in rows]
    if not lines:
        return Html("")
    top = tag("tr", (tag("th", each, scope="col") for each in head))
    whole = tag("table", tag("caption", caption), tag("thead", top), tag("tbody", lines))
    # Wider than a telephone: it is the table that scrolls, by the keyboard too.
    return tag("div", whole, class_="wide", tabindex="0", role="region", aria_label=caption)


def _row(cells: list[Child]) -> Html:
    return tag("tr", tag("th", cells[0], scope="row"), (tag("td", each) for each in cells[1:]))


def page(title: str, here: str, main: Child) -> bytes:
    """A whole page, with the console's heading and style."""
    links = (("/docs", "API"), ("/docs/problems", "Problems"), ("/openapi.json", "OpenAPI"))
    nav = (
        tag("a", name, href=to, aria_current="page" if to == here else None) for to, name in links
    )
    head = f"""\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{escape(title)} · codex-media</title>
  <link rel="icon" href="/console/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/console/css/base.css">
  <link rel="stylesheet" href="/console/css/docs.css">
</head>
"""
    skip = tag("a", "Skip to content", class_="skip", href="#main")
    icon = Html('<img src="/console/icon.svg" alt="" width="24" height="24">')
    brand = tag("a", icon, "codex-media", class_="brand", href="/")
    bar = tag("header", brand, tag("nav", nav, aria_label="Pages"), class_="bar")
    body = tag("body", skip, bar, tag("main", main, id="main", tabindex="-1"))
    return f"{head}{body}\n</html>\n".encode()
