"""Stand-ins for Lambda functions: each call runs the shipped artifact in a process of its own."""

from emulator.lambda_.functions import Functions

__all__ = ["Functions"]
