"""An instance's port: TLS, who may log in and how, then bytes for PostgreSQL and back."""
