"""Rules about the files of a PostgreSQL server."""
