"""Rules about RDS for PostgreSQL."""
