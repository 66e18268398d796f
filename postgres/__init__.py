"""PostgreSQL's configuration files, settings, roles and versions as values. Standard library, no I/O."""
