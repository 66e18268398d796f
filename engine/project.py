"""The Pulumi project that the engine runs."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PROJECT = "passwordless-postgres"
"""Name of the project, as in `Pulumi.yaml`."""
