"""A race simulator with a known truth: made-up drivers, races lap by lap, tables under contract."""
