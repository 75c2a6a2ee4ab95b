"""Model v2: a grade that is about the driver: pace against the car, drives, mistakes."""
