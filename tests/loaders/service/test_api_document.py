"""docs/api.md: its examples are as described, and its codes and limits are those of the code."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from loaders.service import answer_models as models
from loaders.service import guard, questions
from loaders.service.app import create_app
from loaders.settings import Settings
from tests.test_docs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in (ROOT / "loaders" / "service").glob("*.py")
)

MODELS: list[type[models.Answer]] = [
    models.Analytics,
    models.Races,
    models.DriverGrades,
    models.Standings,
    models.Strategy,
    models.Readiness,
    models.ErrorAnswer,
]


@pytest.mark.parametrize(("model", "example"), list(zip(MODELS, EXAMPLES, strict=True)))
def test_examples_are_as_described(model: type[models.Answer], example: str) -> None:
    """All fields and no other."""
    model.model_validate(json.loads(example))


def test_all_codes_are_listed() -> None:
    """Those of the table are those that the code can give."""
    table = TEXT.partition("## Errors")[2].partition("## Limits")[0]
    listed = set(re.findall(r"`([a-z_]{4,})`", table)) - {"request_id"}
    named = set(re.findall(r'(?:ApiError\(\s*\w+|unavailable\()(?:, )?\s*"([a-z_]+)"', SOURCES))
    unknown = {f"unknown_{what}" for what in re.findall(r'not_found\("(\w+)"', SOURCES)}
    assert listed == named | unknown


def test_all_operations_and_parameters_are_documented(tmp_path: Path) -> None:
    """Each path has a section, which names each parameter of its query."""
    described = create_app(Settings(home=tmp_path)).openapi()["paths"]
    sections = re.split(r"^### ", TEXT, flags=re.MULTILINE)
    for path, methods in described.items():
        section = next((each for each in sections if f"`GET {path}`" in each[:80]), "")
        assert section, path
        for parameter in methods["get"].get("parameters", []):
            assert parameter["in"] == "path" or f"`{parameter['name']}`" in section, (
                path,
                parameter["name"],
            )


def test_limits_are_those_of_the_code() -> None:
    """A number that is changed is changed there too."""
    assert (questions.DEFAULT_PAGE, questions.MAX_PAGE) == (50, 200)
    assert (guard.MAX_URL_BYTES, guard.MAX_HEADER_BYTES) == (2048, 16384)
    for words in ("(50, at most\n200)", "longer than 2 kB", "longer than 16 kB"):
        assert words in TEXT


def test_the_example_of_a_site_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As it stands in the document."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(tmp_path))
    code = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(code[0], names)  # noqa: S102 - our own document
    site = names["site"]
    assert isinstance(site, FastAPI)
    assert "/api/v1/analytics/{season}/{round}" in site.openapi()["paths"]
