"""pulumi-postgresql: its connection, and the roles, foreign servers and subscriptions that it creates."""

from __future__ import annotations

from collections.abc import Iterator

from policy.property_checks import must_not_be_given, must_not_be_true
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds.resource_types import MASTERS, SUPERUSERS
from policy.text.connection_strings import ConnectionString, is_local_host
from policy.type_tokens import POSTGRESQL_ROLE
from policy.values import TextPlace, Value

PROVIDER = "pulumi:providers:postgresql"
GRANT_ROLE = "postgresql:index/grantRole:GrantRole"
SERVER = "postgresql:index/server:Server"
SUBSCRIPTION = "postgresql:index/subscription:Subscription"
USER_MAPPING = "postgresql:index/userMapping:UserMapping"
_PROVIDER_LINK = "https://www.pulumi.com/registry/packages/postgresql/installation-configuration/"
_ROLE_LINK = "https://www.postgresql.org/docs/current/role-attributes.html"
_ADMINISTRATIVE_ATTRIBUTES = ("superuser", "createRole", "replication", "bypassRowLevelSecurity")


def _verifies(provider: Resource) -> Iterator[Outcome]:
    if provider["host"].given and is_local_host(provider["host"].text()):
        return
    mode = provider["sslmode"] if provider["sslmode"].given else provider["sslMode"]
    if mode.text().lower() != "verify-full":
        yield Problem(at=mode, reason="expected verify-full")
    if not provider["sslrootcert"].given:
        yield Problem(at=provider["sslrootcert"], reason="expected the file with the server's authority")


def _no_password_beside_tokens(role: Resource) -> Iterator[Outcome]:
    granted = [each.text() for each in role["roles"].items()]
    password = role["password"] if role["password"].given else role["passwordWo"]
    if "rds_iam" in granted and password.given:
        yield Problem(at=password.hidden(), reason="expected none, since the role logs in by IAM")


def _never_the_master(grant: Resource, stack: Stack) -> Iterator[Outcome]:
    if grant["grantRole"].text() != "rds_iam":
        return
    masters = {
        server[name].text()
        for token, name in MASTERS.items()
        for server in stack.of_types((token,))
        if server[name].is_known and server[name].given
    }
    if grant["role"].text() in masters | set(SUPERUSERS):
        yield Problem(at=grant["role"], reason="it is the master user; expected another role")


def _of_keywords(value: Value) -> ConnectionString:
    pairs = [each.partition("=") for each in value.text().split() if "=" in each]
    return ConnectionString(
        kind="keyword/value", parameters={key.lower(): text.strip("'") for key, _, text in pairs}
    )


def _link_verifies(resource: Resource) -> Iterator[Outcome]:
    if resource.type == SUBSCRIPTION:
        conninfo = resource["conninfo"]
        for problem in _of_keywords(conninfo).problems():
            yield Problem(at=TextPlace(path=conninfo.path, line=1), reason=problem)
        return
    mode = resource["options"].at("sslmode")
    wanted = resource.type == SERVER and resource["fdwName"].text() in ("postgres_fdw", "dblink_fdw")
    if (wanted or mode.given) and mode.text().lower() != "verify-full":
        yield Problem(at=mode, reason="expected verify-full")


RULES = (
    Rule(
        id="PGTLS-N80",
        title="The PostgreSQL provider verifies the server",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(PROVIDER,),
        checks=(_verifies,),
        why="The provider logs in as an administrator, so an impersonated server gets its credentials.",
        fix="set sslmode to verify-full and sslrootcert",
        link=_PROVIDER_LINK,
    ),
    Rule(
        id="PGTLS-N81",
        title="The PostgreSQL provider has no password",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PROVIDER,),
        checks=(must_not_be_given("password", "expected awsRdsIamAuth, or a client certificate"),),
        why="The administrator's password would be stored in the state.",
        fix="set awsRdsIamAuth, or clientcert",
        link=_PROVIDER_LINK,
    ),
    Rule(
        id="PGTLS-N82",
        title="Application roles have no administrative attributes, and no password beside IAM",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(POSTGRESQL_ROLE,),
        checks=(*(must_not_be_true(name) for name in _ADMINISTRATIVE_ATTRIBUTES), _no_password_beside_tokens),
        why="Whoever takes over the application would take over the server.",
        fix=f"remove {', '.join(_ADMINISTRATIVE_ATTRIBUTES)}, and the password of roles that have rds_iam",
        link=_ROLE_LINK,
    ),
    Rule(
        id="PGTLS-N83",
        title="rds_iam is not granted to the master user",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(GRANT_ROLE,),
        stack_checks=(_never_the_master,),
        why="Its password stops working, including the one that Secrets Manager rotates.",
        fix="grant rds_iam to application roles only",
        link="https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html",
    ),
    Rule(
        id="PGTLS-N84",
        title="Foreign servers and subscriptions verify the server that they connect to",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SERVER, SUBSCRIPTION, USER_MAPPING),
        checks=(_link_verifies,),
        why="They transfer data unattended, so nobody would notice an impersonated server.",
        fix="set sslmode to verify-full and sslrootcert in options or conninfo",
        link="https://www.postgresql.org/docs/current/libpq-ssl.html",
    ),
)
