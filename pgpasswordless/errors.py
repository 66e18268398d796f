"""Errors that callers should expect; each message says what is wrong, where, and what to do."""


class PgpasswordlessError(Exception):
    """Base of all expected errors of this package. Its text never contains a secret."""


class StackError(PgpasswordlessError):
    """The connections document of a stack could not be found, could not be read, or is not valid."""


class UnknownNameError(PgpasswordlessError):
    """A driver, or a database, role or client of the connections document, that does not exist."""


class NotSupportedError(PgpasswordlessError):
    """Something that this package cannot do."""


class IdentityError(PgpasswordlessError):
    """A certificate and key could not be fetched, are wrong, or cannot be stored safely."""


class TokenError(PgpasswordlessError):
    """A token for a login by IAM cannot be made, or would not be accepted."""


def one_line(error: Exception) -> str:
    """The text of `error` in one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
