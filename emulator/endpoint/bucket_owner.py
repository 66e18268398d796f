"""The account that a caller of S3 expects a bucket to belong to.

Source: Amazon S3 user guide, "Verifying bucket ownership with bucket owner condition".
"""

from __future__ import annotations

import re

from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.operations import Operation
from emulator.endpoint.refusals import Kind, Refusal

_EXPECTATIONS = ("ExpectedBucketOwner", "ExpectedSourceBucketOwner")
_ACCOUNT_ID = re.compile(r"[0-9]{12}")


def check_bucket_owner(operation: Operation) -> None:
    """Holds a call against its expectation; every bucket here belongs to the sandbox's account.

    Raises:
        Refusal: another account is expected, or something that is no account.
    """
    if operation.service != "s3":
        return
    for name in _EXPECTATIONS:
        expected = operation.parameters.get(name)
        if expected is None or expected == ACCOUNT:
            continue
        if not _ACCOUNT_ID.fullmatch(expected):
            words = "The value of the expected bucket owner parameter must be an AWS account ID."
            raise Refusal(Kind.INVALID, words, "InvalidBucketOwnerAWSAccountID")
        raise Refusal(Kind.DENIED, "Access Denied")
