"""The one kind of error that the sandbox's command line shows without a traceback."""


class SandboxError(Exception):
    """Something outside the code is wrong; the text says what, where, and what to do."""
