"""`/docs`: every operation and every model, from the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from api.problem_codes import PAGE
from api.reference.markup import Child, Html, joined, page, prose, table, tag, words
from api.reference.types_words import Json, type_words

PROBLEM = "application/problem+json"


def operations_page(document: Json) -> bytes:
    """The page of the whole document."""
    info = document["info"]
    heading = tag("h1", f"{info['title']} API", " ", tag("span", info["version"], class_="state"))
    sections = [_section(document, each) for each in document["tags"]]
    models = tag("section", tag("h2", "Models", id="models"), _models(document))
    main = tag("div", heading, prose(info["description"]), sections, models, class_="reference")
    return page("API", "/docs", tag("div", _contents(document), main, class_="columns"))


def _operations(document: Json, name: str) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if name in operation["tags"]:
                yield method.upper(), path, operation


def _contents(document: Json) -> Html:
    groups = []
    for each in document["tags"]:
        links = (
            tag("li", tag("a", _call(method, path), href=f"#{operation['operationId']}"))
            for method, path, operation in _operations(document, each["name"])
        )
        groups.append(tag("li", tag("b", each["name"]), tag("ul", links)))
    return tag("nav", tag("ul", groups), aria_label="Operations", class_="contents")


def _call(method: str, path: str) -> Html:
    return joined([tag("span", method, class_="method"), " ", tag("code", path)])


def _section(document: Json, told: Json) -> Html:
    operations = (_operation(*each) for each in _operations(document, told["name"]))
    title = tag("h2", told["name"])
    return tag("section", title, tag("p", told["description"], class_="quiet"), operations)


def _operation(method: str, path: str, operation: Json) -> Html:
    name = operation["operationId"]
    summary = words(f"{operation['summary']}.")
    return tag(
        "article",
        tag("h3", _call(method, path)),
        tag("p", summary, class_="summary"),
        prose(operation["description"]),
        _who(operation),
        _parameters(operation),
        _body(operation),
        _answers(operation),
        _example(method, path, operation),
        id=name,
        class_="panel",
    )


def _who(operation: Json) -> Html:
    roles = operation.get("x-roles")
    told = f"Needs a token of the role {' or '.join(roles)}." if roles else "Needs no token."
    return tag("p", told, class_="quiet small")


def _parameters(operation: Json) -> Html:
    rows = (
        (
            tag("code", each["name"]),
            f"{each['in']}{', required' if each.get('required') else ''}",
            type_words(each["schema"]),
            words(each["description"]),
        )
        for each in operation["parameters"]
    )
    return table(("name", "where", "values", "meaning"), rows, "Parameters")


def _body(operation: Json) -> Html | None:
    if "requestBody" not in operation:
        return None
    ((kind, content),) = operation["requestBody"]["content"].items()
    return tag("p", "Body: ", tag("code", kind), ", a ", type_words(content["schema"]), ".")


def _answers(operation: Json) -> Html:
    rows = ((status, _answer(each), _headers(each)) for status, each in _by_status(operation))
    return table(("status", "body", "headers"), rows, "Answers")


def _by_status(operation: Json) -> Iterator[tuple[str, Json]]:
    yield from operation["responses"].items()


def _answer(answer: Json) -> Child:
    content: dict[str, Any] = answer.get("content", {})
    found: list[Child] = [_kind(kind, each) for kind, each in content.items() if kind != PROBLEM]
    if PROBLEM in content:
        found.append(_codes(content[PROBLEM]))
    return found or "none"


def _kind(kind: str, content: Json) -> Html:
    schema = content["schema"]
    items = [schema["x-item"]] if "x-item" in schema else list(schema.get("x-events", {}).values())
    if items:
        linked = ([" ", type_words(each)] for each in items)
        return tag("div", tag("code", kind), " of", linked)
    model = [": ", type_words(schema)] if "$ref" in schema else None
    return tag("div", tag("code", kind), model)


def _codes(content: Json) -> Html:
    links = (
        [" ", tag("a", tag("code", code), href=f"{PAGE}#{code}")] for code in content["examples"]
    )
    return tag("div", "problem:", links)


def _headers(answer: Json) -> Child:
    named = (tag("code", name) for name in answer.get("headers", {}))
    return [[each, " "] for each in named]


def _example(method: str, path: str, operation: Json) -> Html:
    line = ["curl"] if method == "GET" else ["curl", "-X", method]
    if operation.get("security"):
        line.append('-H "Authorization: Bearer $TOKEN"')
    if "requestBody" in operation:
        line.append("-H 'Content-Type: application/json' -d @body.json")
    shown = path.replace("{", "$").replace("}", "")
    return tag("pre", tag("code", " ".join([*line, f'"$SERVICE{shown}"'])), tabindex="0")


def _models(document: Json) -> Iterator[Html]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        told = prose(schema.get("description", ""))
        values = None if "properties" in schema else tag("p", type_words(schema))
        title = tag("h3", name)
        yield tag("article", title, told, values, _fields(name, schema), id=name, class_="panel")


def _fields(name: str, schema: Json) -> Html:
    required = set(schema.get("required", ()))
    rows = (
        (
            tag("code", field),
            joined([type_words(each), "" if field in required else ", may be left out"]),
            words(each.get("description", "")),
        )
        for field, each in schema.get("properties", {}).items()
    )
    return table(("field", "values", "meaning"), rows, f"Fields of {name}")
