"""`/docs/problems`: what each problem's `type` leads to."""

from collections.abc import Iterator

from api.problem_codes import CATALOGUE, PAGE
from api.reference.markup import Html, page, prose, tag, words

INTRODUCTION = """\
Every refusal is a problem (RFC 9457), in `application/problem+json`: programs go by its `code`,
people by its `detail`. A code never changes its meaning or its status."""


def problems_page() -> bytes:
    """The page, with a place for each code."""
    listed = tag("div", _problems(), class_="problems")
    return page("Problems", PAGE, [tag("h1", "Problems"), prose(INTRODUCTION), listed])


def _problems() -> Iterator[Html]:
    for code, (status, meaning, remedy) in sorted(CATALOGUE.items()):
        title = tag("h2", tag("code", code), " ", tag("span", str(status), class_="state"))
        told = tag("p", words(meaning))
        advice = tag("p", tag("b", "What to do: "), words(remedy))
        yield tag("section", title, told, advice, id=code, class_="panel")
