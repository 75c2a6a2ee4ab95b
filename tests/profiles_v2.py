"""The shipped profile of model v2, as text and as read."""

from __future__ import annotations

from engine.v2.calibration import CalibrationProfileV2
from loaders.settings import RESOURCES

V2_TEXT = (RESOURCES / "data" / "calibration" / "v2.json").read_text(encoding="utf-8")

V2_PROFILE = CalibrationProfileV2.model_validate_json(V2_TEXT)
