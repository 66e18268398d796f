"""Stand-in for pulumi-postgresql: the same resources by psycopg on the real server."""

from emulator.postgresql.provider import PostgresqlProvider

__all__ = ["PostgresqlProvider"]
