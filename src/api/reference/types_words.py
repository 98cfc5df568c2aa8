"""JSON Schema in words: which values a field, a parameter or a header takes."""

from typing import Any

from api.reference.markup import Html, joined, tag

Json = dict[str, Any]


def type_words(schema: Json) -> Html:
    """The schema in a few words; models are linked to their places."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return tag("a", name, href=f"#{name}")
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return _either([type_words(each) for each in several])
    if "enum" in schema:
        return _either([tag("code", str(each)) for each in schema["enum"]])
    if "const" in schema:
        return tag("code", str(schema["const"]))
    if schema.get("type") == "array":
        return joined(["list of ", type_words(schema.get("items", {}))])
    return joined(_plain(schema))


def _either(each: list[Html]) -> Html:
    found: list[Html | str] = []
    for place, one in enumerate(each):
        found += [" or ", one] if place else [one]
    return joined(found)


def _plain(schema: Json) -> str:
    kind = str(schema.get("type", "any JSON"))
    found = [schema.get("format", schema.get("contentMediaType", kind))]
    bounds = (
        ("minimum", "from {}"),
        ("exclusiveMinimum", "over {}"),
        ("maximum", "to {}"),
        ("minLength", "at least {} long"),
        ("maxLength", "at most {} long"),
        ("pattern", "matching {}"),
        ("default", "{} when left out"),
    )
    found += [text.format(schema[name]) for name, text in bounds if name in schema]
    return ", ".join(map(str, found))
