"""What the tests do not run: figures against named references, and fits of calibration data."""
