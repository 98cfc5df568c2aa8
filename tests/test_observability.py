"""The alert rules and the dashboard ask for what there is; every rule says what to do."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import promql_parser as promql
import pytest
import yaml

from infra.figures.database import FIGURES, SEPARATOR, Measured
from infra.figures.exposition import of_service
from infra.figures.figure import PREFIX, Figure
from infra.figures.process import COUNTS, Invariant
from tests.docs import ROOT

FOLDER = ROOT / "deploy/observability"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]
]
HISTOGRAMS = ("_bucket", "_sum", "_count")


def labels_of_metrics() -> dict[str, set[str]]:
    """Every name that a query may ask for, with its labels."""
    known: dict[str, set[str]] = {}
    for figure in (*FIGURES, *COUNTS):
        name = PREFIX + figure.name
        for suffix in HISTOGRAMS if "histogram" in figure.meaning else ("",):
            more = {"le"} if suffix == "_bucket" else set()
            known[name + suffix] = {*figure.labels, *more}
    return known


KNOWN = labels_of_metrics()


def selectors(query: Any) -> Iterator[Any]:
    """The vector selectors of a parsed query."""
    if isinstance(query, promql.VectorSelector):
        yield query
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        below = getattr(query, name, None)
        if below is not None and not isinstance(below, str):
            yield from selectors(below)
    for each in getattr(query, "args", None) or ():
        yield from selectors(each)


def grouped(query: str) -> Iterable[str]:
    """The labels by which it groups."""
    for names in re.findall(r"\b(?:by|without) \(([^)]*)\)", query):
        yield from filter(None, map(str.strip, names.split(",")))


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
def test_a_query_asks_for_metrics_and_labels_that_exist(name: str, query: str) -> None:
    parsed = promql.parse(query.replace("$__rate_interval", "5m"))
    asked = list(selectors(parsed))
    assert asked, query
    labels: set[str] = set()
    for selector in asked:
        assert selector.name in KNOWN, f"{selector.name} is no metric of ours"
        labels |= KNOWN[selector.name]
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= KNOWN[selector.name], f"{selector.name} has no such label"
    assert set(grouped(query)) <= labels


@pytest.mark.parametrize("query", ["codex_media_nonsense", 'codex_media_streams_open{x="1"}'])
def test_the_check_finds_what_does_not_exist(query: str) -> None:
    with pytest.raises(AssertionError):
        test_a_query_asks_for_metrics_and_labels_that_exist("", query)


def test_what_is_told_is_what_the_table_says() -> None:
    samples = [
        Measured(figure.name, SEPARATOR.join("x" for _ in figure.labels), 1) for figure in FIGURES
    ]
    told = of_service(samples).decode()
    found = {
        name: set(re.findall(r"(\w+)=", labels or ""))
        for name, labels in re.findall(r"^(codex_media_\w+)(?:\{(.*)\})? ", told, re.MULTILINE)
    }
    assert found.keys() <= KNOWN.keys()
    assert {name: KNOWN[name] for name in found} == found
    for invariant in Invariant:
        assert f'invariant_violations_total{{invariant="{invariant}"}}' in told


def anchors(document: str) -> set[str]:
    """The anchors of a document's headings, as a Markdown viewer makes them."""
    headings = re.findall(r"^#+ (.+)$", document, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_a_rule_says_what_is_wrong_and_where_it_stands_what_to_do(rule: dict[str, Any]) -> None:
    told = rule["annotations"]
    assert told["summary"].endswith(".")
    path, _, anchor = told["runbook"].partition("#")
    assert anchor in anchors((ROOT / path).read_text("utf-8"))
    assert rule["labels"]["severity"] in {"page", "ticket"}
    used = set(re.findall(r"\$labels\.(\w+)", told["summary"]))
    assert used <= set(grouped(rule["expr"])), "a label that the result does not have"


def test_names_of_rules_and_places_of_panels_are_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert all(x < 24 for x, _ in places)


def test_every_metric_is_looked_at_by_a_rule_or_a_panel() -> None:
    asked = {
        selector.name
        for _, query in QUERIES
        for selector in selectors(promql.parse(query.replace("$__rate_interval", "5m")))
    }

    def looked_at(figure: Figure) -> bool:
        return any(name.startswith(PREFIX + figure.name) for name in asked)

    assert [figure.name for figure in (*FIGURES, *COUNTS) if not looked_at(figure)] == []
