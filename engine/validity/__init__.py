"""Validity: what a grade predicts, how well it repeats, and how much of it is the car."""
