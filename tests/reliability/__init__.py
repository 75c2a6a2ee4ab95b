"""What docs/reliability.md promises, tested by killing, cutting, filling and lying.

The usual sizes are part of `make test`; `make soak` runs the long ones and prints the figures.
"""
