"""The loopback AWS: engine set-up, stand-in providers, machines, PostgreSQL servers, CLI."""
