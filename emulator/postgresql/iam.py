"""The login token of `awsRdsIamAuth`, signed once, when the provider instance is configured."""

from __future__ import annotations

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from emulator.endpoint.credentials import AccessKey

_LIFE_SECONDS = 900
_SERVICE = "rds-db"


def login_token(key: AccessKey, *, host: str, port: int, username: str, region: str) -> str:
    """A token as the real provider signs it: without a region for an empty region, which no server takes.

    boto3 would refuse to do that.
    """
    request = AWSRequest("GET", f"https://{host}:{port}/", params={"Action": "connect", "DBUser": username})
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    SigV4QueryAuth(credentials, _SERVICE, region, expires=_LIFE_SECONDS).add_auth(request)
    return str(request.url).removeprefix("https://")
