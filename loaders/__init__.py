"""How data gets in and results get out: providers, lake, PostgreSQL, jobs, command line."""
