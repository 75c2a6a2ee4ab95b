"""Tests of the validity study."""
