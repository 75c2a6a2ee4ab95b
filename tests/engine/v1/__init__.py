"""Tests of model v1."""
