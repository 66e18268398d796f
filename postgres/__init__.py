"""What PostgreSQL means: hba, ident, server settings, roles, versions. Pure; no I/O."""
