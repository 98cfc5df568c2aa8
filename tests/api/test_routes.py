"""What is asked often is looked for first, and that changes who answers nothing."""

import re

from starlette.applications import Starlette
from starlette.routing import Match, Route

from api.app import OFTEN, by_frequency, create_app
from api.routes import OPERATIONS
from infra.bootstrap import open_services
from infra.settings import Settings


def answering(app: Starlette, method: str, path: str) -> list[str]:
    """The names of all routes that would take it."""
    scope = {"type": "http", "method": method, "path": path}
    routes = [route for route in app.routes if isinstance(route, Route)]
    return [route.name for route in routes if route.matches(scope)[0] is Match.FULL]


def test_what_is_asked_often_is_looked_for_first() -> None:
    first = [each.endpoint.__name__ for each in by_frequency(OPERATIONS)][: len(OFTEN)]
    assert sorted(first) == sorted(OFTEN)


def test_no_route_stands_in_the_way_of_another(settings: Settings) -> None:
    app = create_app(settings, open_services(settings))
    for operation in by_frequency(OPERATIONS):
        if operation.demo:
            continue
        path = re.sub(r"\{[^}]*\}", "4e1c6f1e-6b0f-4d5e-9f0a-1d2c3b4a5968", operation.path)
        found = answering(app, operation.method, path)
        assert found == [operation.endpoint.__name__], path
