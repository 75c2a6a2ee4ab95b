"""Pictures of grades, as declarations over frames."""
