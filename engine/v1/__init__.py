"""Model v1: the predecessor's scoring, as expressions over all races and profiles at once."""
