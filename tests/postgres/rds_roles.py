"""The roles that RDS makes on a new instance, made on a server of our own."""

from __future__ import annotations

MASTER = "the_master"
PREDEFINED = "pg_monitor, pg_signal_backend, pg_checkpoint, pg_read_all_data"


def rds_setup(major: int) -> list[str]:
    """Statements of the superuser; idempotent ones they are not."""
    statements = [
        "CREATE ROLE rds_superuser NOLOGIN",
        "CREATE ROLE rds_iam NOLOGIN",
        "CREATE ROLE rds_extension NOLOGIN",
        f"CREATE ROLE {MASTER} LOGIN CREATEDB CREATEROLE",
        f"GRANT {PREDEFINED}, rds_extension TO rds_superuser WITH ADMIN OPTION",
        f"GRANT rds_superuser TO {MASTER}",
        f"ALTER DATABASE postgres OWNER TO {MASTER}",
    ]
    if major >= 16:
        statements.append(f"GRANT rds_iam TO {MASTER} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")
    return statements
