"""The OpenAPI description, and requests that schemathesis makes from it."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.soak import SEED, runs

if TYPE_CHECKING:
    import httpx

    from tests.loaders.service.conftest import Served
    from tests.soak import Figure

MAX_RESPONSE_S = 2.0

CONFIG: dict[str, Any] = {
    "seed": SEED,
    "generation": {"max-examples": runs(2, 200), "database": "none"},
    "checks": {
        "max_response_time": MAX_RESPONSE_S,
        "negative_data_rejection": {"expected-statuses": ["400", "404", "414", "422"]},
    },
}


def test_requests_from_the_description(served: Served, figure: Figure) -> None:
    """Right and wrong ones, all checks: no fault of ours, all as described, none over 2 s."""
    schema = schemathesis.openapi.from_url(
        f"http://127.0.0.1:{served.port}/openapi.json",
        config=SchemathesisConfig.from_dict(CONFIG),
    )
    asked: Counter[str] = Counter()
    checked: Counter[str] = Counter()
    slowest_s = 0.0
    failures, errors = [], []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished | events.FuzzScenarioFinished):
            for each in event.recorder.interactions.values():
                assert each.response is not None
                asked[str(each.response.status_code)] += 1
                slowest_s = max(slowest_s, each.response.elapsed)
            for check in chain.from_iterable(event.recorder.checks.values()):
                checked[check.name] += 1
                if check.status is not Status.SUCCESS:
                    failures.append(f"{event.recorder.label}: {check.name}: {check.failure_info}")
        elif isinstance(event, events.NonFatalError):
            errors.append(f"{event.label}: {event.info.format()}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    assert not errors, "\n".join(errors)
    assert not failures, "\n".join(failures)
    assert not [status for status in asked if status.startswith("5")]
    assert asked["200"] > 0
    assert {"not_a_server_error", "response_schema_conformance"} < set(checked)
    assert slowest_s < MAX_RESPONSE_S
    figure("I", f"{asked.total()} requests {dict(asked)}, the slowest {slowest_s * 1e3:.0f} ms")


def described(client: httpx.Client) -> dict[str, Any]:
    """Read the description."""
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_everything_is_described(client: httpx.Client) -> None:
    """Each operation, parameter and field says what it is; each error has its shape."""
    document = described(client)
    for path, methods in document["paths"].items():
        assert set(methods) == {"get"}, path
        operation = methods["get"]
        assert operation["summary"], path
        assert operation["description"], path
        assert "422" in operation["responses"], path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (path, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        for field, about in schema["properties"].items():
            assert "description" in about or "$ref" in about, (name, field)


def test_quantities_name_their_unit(client: httpx.Client) -> None:
    """A suffix, or a word in the description."""
    schemas = described(client)["components"]["schemas"]
    for name, field, unit in (
        ("Lap", "lap_ms", "ms"),
        ("Stint", "avg_lap_ms", "ms"),
        ("Stint", "laps", "laps"),
        ("Stop", "pit_lane_ms", "ms"),
        ("Stop", "lost_s", ", s"),
        ("DriverGrade", "grade", "per cent"),
        ("DriverGrade", "graded_at", "UTC"),
    ):
        about = schemas[name]["properties"][field]["description"]
        assert unit in about or field.endswith(f"_{unit}"), (name, field)
