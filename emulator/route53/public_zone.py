"""The account's public zone, which no program makes: it is there before the first deployment."""

PUBLIC_ZONE_ID = "ZSANDBOX"
PUBLIC_ZONE = "localhost"
"""Name of that zone, and of everything that the sandbox serves."""
