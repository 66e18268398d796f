"""Whether a token is valid: made for this connection, signed by the owner of its key, and authorised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from emulator.endpoint import credentials as issued
from emulator.endpoint.aws_endpoint import AwsEndpoint
from emulator.endpoint.credentials import ACCOUNT
from emulator.endpoint.resources import Access
from emulator.iam.policy import MalformedPolicyDocument
from emulator.rds.authority import HOST
from emulator.rds.data_plane import token as tokens
from emulator.rds.model import Instance

# Not supported in policies for rds-db: RDS does not fill them in (user guide, "Limitations for IAM
# database authentication").
_LACKING = frozenset({"aws:SourceIp", "aws:SourceVpc", "aws:SourceVpce", "aws:UserAgent", "aws:Referer"})


class LoginRefused(Exception):
    """A login by token that fails; the text is for the instance's own log and holds no token.

    Args:
        message: What happened.
        code: RDS's error code.
        status: HTTP status that RDS gives with it.
    """

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.line = f"{message} (Status Code: {status}, Error Code: {code})"


@dataclass(frozen=True, kw_only=True)
class IamLogin:
    """Decides logins to one instance.

    Attributes:
        endpoint: Issues credentials and has the policies.
        instance: The instance.
    """

    endpoint: AwsEndpoint
    instance: Instance

    def check(self, user: str, password: str, now: datetime | None = None) -> None:
        """Returns when the password is a token that lets the user in.

        Raises:
            LoginRefused: It is not.
        """
        failed = f"Failed to authenticate the connection request for user {user} because"
        port, region = self.instance.port, self.instance.region
        expected = tokens.Expected(host=HOST, port=port, region=region, user=user)
        try:
            token = tokens.read_token(password)
            identity, secret = self.endpoint.credentials.recognise(token.access_key_id, token.session_token)
            tokens.verify(token, expected, secret, now or datetime.now(UTC))
        except tokens.InvalidToken as error:
            words = f"{failed} the provided token is malformed or otherwise invalid: {error}."
            raise LoginRefused(words, "InvalidToken", 400) from None
        except issued.UnknownKey:
            words = f"{failed} the provided token is malformed or otherwise invalid: its key is not known."
            raise LoginRefused(words, "InvalidToken", 400) from None
        except (tokens.ExpiredToken, issued.ExpiredToken):
            raise LoginRefused(f"{failed} the provided token has expired.", "ExpiredToken", 400) from None
        self._authorise(identity, user)

    def _authorise(self, identity: issued.Identity, user: str) -> None:
        failed = f"Failed to authorize the connection request for user {user} because"
        region = self.instance.region
        arn = f"arn:aws:rds-db:{region}:{ACCOUNT}:dbuser:{self.instance.resource_id}/{user}"
        access = Access(action="rds-db:connect", resource=arn, lacking=_LACKING)
        try:
            allowed = self.endpoint.allows(identity, access, region)
        except MalformedPolicyDocument as error:
            raise LoginRefused(f"{failed} a policy cannot be read: {error}.", "InternalError", 500) from None
        if not allowed:
            raise LoginRefused(
                f"{failed} the IAM identity {identity.caller.arn} is not authorized to perform "
                f"`rds-db:connect` on the DB instance: {arn}.",
                "NotAuthorized",
                403,
            )
