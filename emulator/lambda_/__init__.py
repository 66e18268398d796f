"""Stand-ins for Lambda functions: each call runs the shipped artifact in a process of its own."""

from emulator.lambda_.service import Functions

__all__ = ["Functions"]
