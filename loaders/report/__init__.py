"""The report of a race: one page that needs nothing else."""
