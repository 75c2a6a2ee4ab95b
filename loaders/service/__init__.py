"""The web service: an API of read-only answers, and pages."""
