"""Errors that a caller is expected to meet; each message says what is wrong, where, and what to do."""


class PgpasswordlessError(Exception):
    """Base of all expected errors of this package. Its text never holds a secret."""


class StackError(PgpasswordlessError):
    """The connections document of a stack could not be found, read or believed."""


class UnknownNameError(PgpasswordlessError):
    """A database or role that the connections document does not hold."""


class NotSupportedError(PgpasswordlessError):
    """Something that this version cannot do."""


class IdentityError(PgpasswordlessError):
    """A role's certificate and key could not be fetched, are wrong, or cannot be stored safely."""


class TokenError(PgpasswordlessError):
    """No token for a login by IAM can be made, or it would not be accepted."""


def one_line(error: Exception) -> str:
    """The text of `error` in one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
