"""Profiles of model v2 are checked when they are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from engine.errors import ProfileError
from engine.v2.calibration import (
    PROFILE_V2_SCHEMA,
    QUANTILES,
    QUANTILES_SCHEMA,
    CalibrationProfileV2,
    profile_frame_v2,
    quantile_frame,
)
from tests.profiles_v2 import V2_PROFILE, V2_TEXT


def changed(path: str, value: object) -> str:
    """The shipped profile's JSON with one field set, or removed if the value is `...`."""
    body: dict[str, Any] = json.loads(V2_TEXT)
    *parents, name = path.split(".")
    part = body
    for parent in parents:
        part = part[parent]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    return json.dumps(body)


def test_the_shipped_profile_reads_back_as_it_was_written() -> None:
    """Nothing is lost between the file and the model."""
    assert json.loads(V2_PROFILE.model_dump_json()) == json.loads(V2_TEXT)
    assert V2_PROFILE.provenance.last_season <= 2014


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("racecraft.sd", 0.0),
        ("consistency.sd", -1.0),
        ("consistency.mean", "0.18"),
        ("penalty.spread", 1.5),
        ("passes.log_gap", None),
        ("passes.log_gap", ...),
        ("passes.log_gaps", -2.5),
        ("pace.quantile", ...),
        ("pace.quantiles", 0.3),
        ("rating", ...),
        ("start.usual_gain_places", []),
        ("total_quantiles", [0.1] * QUANTILES),
        ("total_quantiles", [0.1, 0.2]),
        ("weights.racecraft", -0.45),
        ("name", "../etc"),
        ("provenance.fitted_on", "yesterday"),
        ("mistakes.seconds_per_burden", 0),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(path: str, value: object) -> None:
    """Zero divisors, text, missing and misspelled fields, quantiles that do not rise."""
    with pytest.raises(ValidationError):
        CalibrationProfileV2.model_validate_json(changed(path, value))


def constants_of(model: type[BaseModel]) -> list[tuple[str, str | None]]:
    """Every field of a profile with its description, parts included."""
    found = []
    for name, field in model.model_fields.items():
        found.append((f"{model.__name__}.{name}", field.description))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += constants_of(field.annotation)
    return found


def test_every_constant_says_how_it_came_about() -> None:
    """A number without a reason cannot be judged."""
    assert len(constants_of(CalibrationProfileV2)) > 40
    assert [name for name, text in constants_of(CalibrationProfileV2) if not text] == []


def test_profiles_become_a_frame_that_grading_joins() -> None:
    """One row each, parts flattened."""
    other = V2_PROFILE.model_copy(update={"name": "other", "version": 3})
    found = profile_frame_v2([V2_PROFILE, other])
    assert found.schema == PROFILE_V2_SCHEMA
    assert found["profile_name"].to_list() == [V2_PROFILE.name, "other"]
    assert found["profile_version"].to_list() == [V2_PROFILE.version, 3]
    assert found["racecraft_sd"].to_list() == [V2_PROFILE.racecraft.sd] * 2
    assert found["racecraft_weight"].to_list() == [V2_PROFILE.weights.racecraft] * 2


def test_quantiles_become_a_scale() -> None:
    """A hundred and one rows a profile; from one to the next the slope leads exactly."""
    found = quantile_frame([V2_PROFILE])
    assert found.schema == QUANTILES_SCHEMA
    assert found["grade"].to_list() == [float(percent) for percent in range(QUANTILES)]
    low, high = found.row(30, named=True), found.row(31, named=True)
    step = high["quantile_total"] - low["quantile_total"]
    assert step * low["grade_per_total"] == pytest.approx(1.0)
    assert found["grade_per_total"].to_list()[-1] == 0.0


@pytest.mark.parametrize("make", [profile_frame_v2, quantile_frame])
def test_no_profile_and_two_of_one_name_are_refused(make: Any) -> None:
    """A grade must name its profile."""
    with pytest.raises(ProfileError, match="no calibration profile"):
        make([])
    with pytest.raises(ProfileError, match=V2_PROFILE.name):
        make([V2_PROFILE, V2_PROFILE])
