"""What pulumi-postgresql connects by, and the roles and links that it makes."""

from __future__ import annotations

from collections.abc import Iterator

from policy.connection_strings import ConnectionString
from policy.registered import Resource, Stack
from policy.requirement import must_not_be_given, must_not_be_true
from policy.rule import Area, Outcome, Problem, Rule, Severity
from policy.rules.rds_servers import MASTERS
from policy.values import TextPlace, Value

PROVIDER = "pulumi:providers:postgresql"
ROLE = "postgresql:index/role:Role"
GRANT_ROLE = "postgresql:index/grantRole:GrantRole"
SERVER = "postgresql:index/server:Server"
SUBSCRIPTION = "postgresql:index/subscription:Subscription"
USER_MAPPING = "postgresql:index/userMapping:UserMapping"
_PROVIDER_LINK = "https://www.pulumi.com/registry/packages/postgresql/installation-configuration/"
_ROLE_LINK = "https://www.postgresql.org/docs/current/role-attributes.html"
_POWERS = ("superuser", "createRole", "replication", "bypassRowLevelSecurity")
_SUPERUSERS = ("postgres", "rds_superuser", "rdsadmin")


def _verifies(provider: Resource) -> Iterator[Outcome]:
    mode = provider["sslmode"] if provider["sslmode"].given else provider["sslMode"]
    if mode.text().lower() != "verify-full":
        yield Problem(at=mode, reason="expected verify-full")
    if not provider["sslrootcert"].given:
        yield Problem(at=provider["sslrootcert"], reason="expected the file of the server's authority")


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
    if grant["role"].text() in masters | set(_SUPERUSERS):
        yield Problem(at=grant["role"], reason="expected any role but the master")


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
        title="The provider of PostgreSQL verifies the server",
        area=Area.TLS,
        severity=Severity.CRITICAL,
        types=(PROVIDER,),
        checks=(_verifies,),
        why="It logs in as the administrator; whoever is on the way could be the server.",
        fix="set sslmode to verify-full and sslrootcert",
        link=_PROVIDER_LINK,
    ),
    Rule(
        id="PGTLS-N81",
        title="The provider of PostgreSQL has no password",
        area=Area.SECRETS,
        severity=Severity.HIGH,
        types=(PROVIDER,),
        checks=(must_not_be_given("password", "expected awsRdsIamAuth, or a client certificate"),),
        why="The administrator's password would be in the state.",
        fix="set awsRdsIamAuth, or clientcert",
        link=_PROVIDER_LINK,
    ),
    Rule(
        id="PGTLS-N82",
        title="Roles of applications have no power over the server, and no password beside IAM",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=(ROLE,),
        checks=(*(must_not_be_true(power) for power in _POWERS), _no_password_beside_tokens),
        why="An application that is taken over would take the server.",
        fix=f"remove {', '.join(_POWERS)}; and the password where the role is in rds_iam",
        link=_ROLE_LINK,
    ),
    Rule(
        id="PGTLS-N83",
        title="rds_iam is never granted to the master",
        area=Area.IDENTITY,
        severity=Severity.MEDIUM,
        types=(GRANT_ROLE,),
        stack_checks=(_never_the_master,),
        why="Its password stops working, also the one that Secrets Manager rotates.",
        fix="grant rds_iam to roles of applications",
        link="https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html",
    ),
    Rule(
        id="PGTLS-N84",
        title="A server verifies the servers that it connects to",
        area=Area.TLS,
        severity=Severity.HIGH,
        types=(SERVER, SUBSCRIPTION, USER_MAPPING),
        checks=(_link_verifies,),
        why="Foreign tables and subscriptions carry data without a client that would notice.",
        fix="set sslmode to verify-full and sslrootcert in options or conninfo",
        link="https://www.postgresql.org/docs/current/libpq-ssl.html",
    ),
)
