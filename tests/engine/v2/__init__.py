"""Tests of model v2."""
