"""Each quota of AWS at its limit and one above: refused by name before anything is registered, or kept."""

from __future__ import annotations

# ruff: noqa: E501 - one case is one line
import base64
import dataclasses
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from cryptography import x509

import settings
import settings.gateway
from artifacts.sources import launcher_sources
from components import preflight
from components.gateway import client_authority
from components.gateway import user_data as gateway_user_data
from components.gateway.client_authority import external_trust
from components.names import stack_path
from components.pki.certificates import CertificateAuthorityArgs
from components.preflight import preflight_problems
from components.private_bucket import object_tags
from components.rds.instance import instance_identifier
from components.rds.roles_function import CONFIGURATION_VARIABLE, configuration_json
from components.self_managed import user_data as server_user_data
from documents.document import ObjectAddress, ObjectPointer
from gateway.machine import Machine as GatewayMachine
from node.desired_state import Machine as ServerMachine
from runtime.identity_secret import IdentityDocument
from settings import quotas
from settings.certificates import FIRST_GENERATION
from settings.problems import written
from settings.reconcile import Hold, Reconcile
from tests.components.examples import CERTIFICATE_PEM, REVOCATION_PEM, rds_postgres
from tests.recording_monitor import plain, record

Config = dict[str, Any]

OPERATOR = "arn:aws:iam::123456789012:user/operator"
LONGEST_STACK = "s" * 100


def config(**sections: Any) -> Config:
    """Settings of all sections; a keyword such as `rds__roles` puts another value in that place."""
    found: Config = {
        "network": {"create": {}},
        "certificates": {"administrators": [OPERATOR]},
        "selfManaged": {
            "privateDns": {"zone": "db.internal"},
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "databases": {"app": {}},
            "roles": {"app_user": {"database": "app", "networks": ["10.30.0.0/24"]}},
        },
        "rds": {
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "databases": {"app": {}},
            "roles": {"app_user": {"database": "app"}},
        },
        "gateway": {
            "domainName": "gateway.example.org",
            "hostedZoneId": "Z0123456789",
            "allowedClients": {"networks": ["10.30.0.0/16"]},
            "clients": {"billing": {"uri": "spiffe://test/billing", "role": "app_user"}},
        },
    }
    for place, value in sections.items():
        *way, last = place.split("__")
        where = found
        for step in way:
            where = where.setdefault(step, {})
        where[last] = value
    return found


def refusals(given: Config, stack: str = "prod") -> list[str]:
    """What the settings or the checks before the first resource say."""
    try:
        loaded = settings.load(given)
    except settings.SettingsError as error:
        return str(error).splitlines()
    return [f"{written(each.path)}: {each.message}" for each in preflight_problems(stack, loaded)]


def spread(count: int, characters: int) -> list[str]:
    """Distinct names with so many characters together beyond four for each."""
    more, rest = divmod(characters, count)
    return [f"r{number:03d}" + "x" * (more + (number < rest)) for number in range(count)]


def networks(count: int) -> list[str]:
    return [f"10.{number >> 8}.{number & 255}.0/24" for number in range(count)]


def generations(count: int) -> list[Config]:
    return [{"name": f"{n}", "state": "retiring" if n else "issuing"} for n in range(count)]


def clients(section: str, count: int, groups: Sequence[str] = ()) -> Config:
    allowed = {"networks": ["10.30.0.0/24", *networks(count - 1)], "securityGroups": list(groups)}
    return config(**{f"{section}__allowedClients": allowed})


def topics(count: int) -> list[str]:
    return [f"arn:aws:sns:eu-central-1:123456789012:t{number}" for number in range(count)]


def domain(characters: int) -> str:
    return "d" * 50 + "." + "e" * (characters - 51)


def iam_roles(characters: int) -> Config:
    return config(rds__roles={
        name: {"database": "app", "iamRoles": ["app"]} for name in spread(50, characters)
    } | {"app_user": {"database": "app"}})  # fmt: skip


def gateway_roles(characters: int) -> Config:
    names = spread(70, characters)
    clients = {f"c{n}": {"uri": f"spiffe://test/{n}", "role": name} for n, name in enumerate(names)}
    return config(rds__roles={name: {"database": "app"} for name in names}, gateway__clients=clients)


def principals(count: int, characters: int) -> list[str]:
    return [f"arn:aws:iam::123456789012:role/{name}" for name in spread(count, characters)]


def trusted(characters: int) -> Config:
    return config(rds__roles__app_user__newIamRole={"trustedPrincipals": principals(40, characters)})


def readers(characters: int) -> Config:
    return config(selfManaged__roles__app_user__secretReaders=principals(170, characters))


def client_readers(characters: int) -> Config:
    return config(gateway__clients__billing__secretReaders=principals(170, characters))


def key_readers(characters: int) -> Config:
    names = [f"arn:aws:iam::999999999999:role/{name}" for name in spread(800, characters)]
    roles = {
        f"r{part}": {"database": "app", "networks": ["10.30.4.0/24"], "secretReaders": names[part::4]}
        for part in range(4)
    }
    return config(selfManaged__roles=roles, certificates__secretsKey="stack")


def administrators(characters: int) -> Config:
    return config(certificates__administrators=principals(170, characters))


PROJECT = "passwordless-postgres"
SELF, RDS, GATEWAY = (f"{PROJECT}:{section}" for section in ("selfManaged", "rds", "gateway"))
AUTHORITY = f"{GATEWAY}.clientAuthority"

# Per row: the place and the words of the refusal of settings that are one above the limit, settings of any
# size, and the size that is at the limit; None where names of AWS in the rendered text decide it.
REFUSED: list[tuple[str, str, str, Callable[[int], Config], int | None]] = [
    ("INLINE_POLICIES", f"{RDS}.roles", "has the IAM role app among the iamRoles of 50", iam_roles, None),
    ("INLINE_POLICIES", f"{GATEWAY}.clients", "act as 70 database roles", gateway_roles, None),
    ("TRUST_POLICY", f"{RDS}.roles.app_user.newIamRole", "trust fewer", trusted, None),
    ("SECRET_POLICY", f"{SELF}.roles.app_user.secretReaders", "name fewer", readers, None),
    ("SECRET_POLICY", f"{GATEWAY}.clients.billing.secretReaders", "name fewer", client_readers, None),
    ("KEY_POLICY", f"{PROJECT}:certificates.secretsKey", "name fewer secretReaders", key_readers, None),
    ("BUCKET_POLICY", f"{PROJECT}:certificates.administrators", "name fewer", administrators, None),
    ("SECURITY_GROUP_RULES", f"{SELF}.allowedClients", "makes 61 entries", lambda n: clients("selfManaged", n), 60),
    # The roles function and the gateway's machines have a rule each.
    ("SECURITY_GROUP_RULES", f"{RDS}.allowedClients", "makes 61 entries", lambda n: clients("rds", n - 2), 60),
    ("SECURITY_GROUP_RULES", f"{GATEWAY}.allowedClients", "makes 61 entries", lambda n: clients("gateway", n - 1, ["sg-01234567"]), 60),
    ("SECURITY_GROUP_RULES", f"{GATEWAY}.allowedClients", "makes 61 entries", lambda n: config(gateway__allowedClients={"networks": [*networks(50), *(f"fd00:{number:x}::/32" for number in range(n))]}), 60),
    ("SECURITY_GROUP_RULES", f"{SELF}.allowedClients", "makes 201 entries", lambda n: {**clients("selfManaged", n), "quotas": {"rulesPerSecurityGroup": 200}}, 200),
    ("FUNCTION_SUBNETS", f"{PROJECT}:network.existing.privateSubnetIds", "has 17 entries", lambda n: config(network={"existing": {"vpcId": "vpc-01234567", "privateSubnetIds": [f"subnet-{number:08x}" for number in range(n)]}}), 16),
    ("RESOURCE_TAGS", f"{PROJECT}:tags", "has 50 entries", lambda n: config(tags={f"t{number}": "x" for number in range(n - 1)}), 50),
    ("TAG_KEY", f"{PROJECT}:tags.{'k' * 129}", "has 129 characters", lambda n: config(tags={"k" * n: "x"}), 128),
    ("TAG_VALUE", f"{PROJECT}:tags.key", "has 257 characters", lambda n: config(tags={"key": "v" * n}), 256),
    ("ALARM_ACTIONS", f"{SELF}.alarmTopics", "has 6 entries", lambda n: config(selfManaged__alarmTopics=topics(n)), 5),
    ("ALARM_ACTIONS", f"{RDS}.alarmTopics", "has 6 entries", lambda n: config(rds__alarmTopics=topics(n)), 5),
    ("ALARM_ACTIONS", f"{GATEWAY}.alarmTopics", "has 6 entries", lambda n: config(gateway__alarmTopics=topics(n)), 5),
    ("TRUST_STORE_CERTIFICATES", f"{AUTHORITY}.generations", "makes 26 entries", lambda n: config(gateway__clientAuthority={"generations": generations(n)}), 25),
    ("TRUST_STORE_LISTS", f"{AUTHORITY}.generations", "makes 31 entries", lambda n: config(quotas={"certificatesPerTrustStore": 40}, gateway__clientAuthority={"generations": generations(n)}), 30),
    ("TRUST_STORE_LISTS", f"{AUTHORITY}.revocationLists", "makes 31 entries", lambda n: config(gateway__clientAuthority={"source": "external", "bundle": "a.pem", "revocationLists": [f"{number}.pem" for number in range(n)]}), 30),
    ("LOAD_BALANCER_SUBNET", f"{PROJECT}:network.create.cidr", "makes subnets of /28", lambda n: config(network={"create": {"cidr": f"10.20.0.0/{n - 3}"}}), 27),
    ("CERTIFICATE_DOMAIN", f"{GATEWAY}.domainName", "makes 65 characters", lambda n: config(gateway__domainName=domain(n)), 64),
    ("COMMON_NAME", f"{GATEWAY}.clients.legacy.commonName", "has 65 characters", lambda n: config(gateway__clients__legacy={"commonName": "n" * n, "role": "app_user"}), 64),
    ("COMMON_NAME", f"{SELF}.roles.app_user.commonName", "has 65 characters", lambda n: config(selfManaged__roles__app_user__commonName="n" * n), 64),
    ("COMMON_NAME", f"{SELF}.privateDns", "has 65 characters", lambda n: config(selfManaged__privateDns={"name": "", "zone": domain(n)}), 64),
    ("INSTANCE_IDENTIFIER", f"{RDS}.identifier", "is not an identifier", lambda n: config(rds__identifier="i" * n), 63),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "where", "said", "sized", "limit"),
    REFUSED,
    ids=[f"{case[0]}-{case[1][22:50]}" for case in REFUSED],
)
def test_what_exceeds_a_quota_is_refused_by_name(
    row: str, where: str, said: str, sized: Callable[[int], Config], limit: int | None
) -> None:
    if limit is None:
        quota: quotas.Quota = getattr(quotas, row)
        limit, above = 0, 4_000
        while above - limit > 1:
            middle = (limit + above) // 2
            limit, above = (limit, middle) if refusals(sized(middle)) else (middle, above)
        (line,) = refusals(sized(above))
        # A principal stands in some policies twice.
        assert any(f" makes {quota.limit + more} {quota.counted} of" in line for more in (1, 2)), line
    assert refusals(sized(limit)) == []
    (line,) = refusals(sized(limit + 1))
    assert line.startswith(f"{where}: "), line
    assert said in line


def test_a_raised_quota_is_taken() -> None:
    long = trusted(500)
    (line,) = refusals(long)
    assert "(if AWS has raised it, say so in quotas.trustPolicyCharacters)" in line
    assert refusals({**long, "quotas": {"trustPolicyCharacters": 8192}}) == []


@pytest.mark.parametrize("more", [0, 1])
def test_the_event_of_a_schedule(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    monkeypatch.setattr(preflight, "event_json", lambda _server: "x" * (262_144 + more))
    assert refusals(config()) == [
        f"{RDS}: makes 262145 bytes of the event of one schedule; AWS takes 262144; declare fewer roles or grants"
    ] * more  # fmt: skip


@pytest.mark.parametrize("more", [0, 1])
def test_the_revoked_certificates_of_a_trust_store(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    two = {"generations": generations(2)}
    given = config(gateway__clientAuthority=two, gateway__revoked=[f"{n:x}" for n in range(1, 5 + more)])
    monkeypatch.setattr(
        settings.gateway, "TRUST_STORE_REVOCATIONS", replaced(quotas.TRUST_STORE_REVOCATIONS, 9)
    )
    assert len(refusals(given)) == more


def replaced(quota: quotas.Quota, limit: int) -> quotas.Quota:
    return dataclasses.replace(quota, limit=limit)


SUBJECT = len(x509.load_pem_x509_certificate(CERTIFICATE_PEM.encode()).subject.public_bytes())
OF_EXTERNAL_AUTHORITIES = {
    "TRUST_STORE_CERTIFICATES": 1,
    "TRUST_STORE_CERTIFICATE": len(CERTIFICATE_PEM),
    "TRUST_STORE_SUBJECTS": SUBJECT,
    "TRUST_STORE_REVOCATIONS": len(x509.load_pem_x509_crl(REVOCATION_PEM.encode())),
    "TRUST_STORE_LIST": len(REVOCATION_PEM),
}
"""The size of the one authority of the examples, by row."""


@pytest.mark.parametrize("row", OF_EXTERNAL_AUTHORITIES)
def test_the_trust_store_of_an_external_authority(monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    size, quota = OF_EXTERNAL_AUTHORITIES[row], getattr(quotas, row)
    for limit, refused in ((size, False), (size - 1, True)):
        monkeypatch.setattr(client_authority, row, replaced(dataclasses.replace(quota, setting=None), limit))
        with (
            pytest.raises(ValueError, match=f"makes {size} {quota.counted} of") if refused else nullcontext()
        ):
            external_trust(CERTIFICATE_PEM, {"1": REVOCATION_PEM}, quotas.Quotas())


def roles_of(**roles: Any) -> Any:
    return record(lambda: rds_postgres(roles=roles, stack=LONGEST_STACK))


def test_long_names_end_in_a_digest_and_others_stay() -> None:
    new = {"database": "app", "newIamRole": {"trustedServices": ["ecs-tasks.amazonaws.com"]}}
    shared = {"database": "app", "iamRoles": ["i" * 64]}
    # `main-application-` and `main-connect-` go before, and eight characters of Pulumi after the name.
    recording = roles_of(**{"n" * 39: new, "n" * 40: new, "s" * 42: shared, "s" * 43: shared})
    names = [each.name for each in recording.of_type("aws:iam/role:Role") if "application" in each.name]
    assert [len(name) + 8 for name in names] == [64, 64]
    assert names[1] == f"main-application-{'n' * 39}"
    assert re.fullmatch(r"main-application-n{31}-[0-9a-f]{7}", names[0])
    policies = {each.name for each in recording.of_type("aws:iam/rolePolicy:RolePolicy") if "-i" in each.name}
    assert max(len(name) + 8 for name in policies) == 128
    assert f"main-connect-{'s' * 42}-{'i' * 64}" in policies
    assert len(policies) == 2


def test_connect_policies_of_different_pairs_have_different_names() -> None:
    recording = roles_of(**{
        "a": {"database": "app", "iamRoles": ["b-c", "b"]},
        "a-b": {
            "database": "app", "iamRoles": ["c"], "newIamRole": {"trustedServices": ["lambda.amazonaws.com"]}
        },
    })  # fmt: skip
    names = [
        each.name for each in recording.of_type("aws:iam/rolePolicy:RolePolicy") if "connect" in each.name
    ]
    assert len(names) == 4
    assert {"main-connect-a-b-c", "main-connect-a-b"} < set(names)


@pytest.mark.parametrize(
    ("role", "shown"),
    [("jos\u00e9", "jos\u00e9"), ("\u0142ukasz", r"ukasz-[0-9a-f]{7}"), ("\u6771\u4eac", r"[0-9a-f]{7}")],
)
def test_descriptions_have_letters_that_iam_takes(role: str, shown: str) -> None:
    new = {"database": "app", "newIamRole": {"trustedServices": ["lambda.amazonaws.com"]}}
    (described,) = [
        plain(each.inputs)["description"]
        for each in roles_of(**{role: new}).of_type("aws:iam/role:Role")
        if "application" in each.name
    ]
    assert re.fullmatch(f"Logs in to main in stack {LONGEST_STACK} as {shown}", described)
    assert re.fullmatch(r"[\t\n\r\x20-\x7e\xa1-\xff]{,1000}", described)


@pytest.mark.parametrize("name", ["a*", "a?", "a$"])
def test_names_that_iam_reads_as_wildcards_are_refused(name: str) -> None:
    (line,) = refusals(config(rds__roles={"app_user": {"database": "app"}, name: {"database": "app"}}))
    assert line.startswith(f'{RDS}.roles["{name}"]: ')
    assert "which IAM policies read as wildcards" in line
    (line,) = refusals(config(rds__databaseRoles={"administrator": name}))
    assert line.startswith(f"{RDS}.databaseRoles.administrator: ")


@pytest.mark.parametrize("length", [37, 38, 39, 87, 100])
def test_subjects_of_authorities_fit_and_differ(length: int) -> None:
    def subject(trust_domain: str) -> str:
        return CertificateAuthorityArgs(
            purpose="client", trust_domain=trust_domain, generations=FIRST_GENERATION, validity_days=400,
            leaves=settings.Certificates(),
        ).common_name("g" * 16)  # fmt: skip

    one, other = subject("a" * length), subject("a" * (length - 1) + "b")
    assert len(one) <= 64
    assert one != other
    assert one.endswith(f" client CA {'g' * 16}")
    assert (one == f"{'a' * length} client CA {'g' * 16}") == (length <= 37)


@pytest.mark.parametrize("stack", ["a.b", "a_b", "A-b", "a--b", "-ab"])
def test_a_stack_that_shares_its_identifier_names_one(stack: str) -> None:
    (line,) = refusals(config(), stack)
    assert line.startswith(f"{RDS}.identifier: is missing")
    assert instance_identifier(stack, "rds") in line
    assert refusals(config(rds__identifier="orders"), stack) == []
    assert refusals(config(), "a-b") == []


def test_the_instance_has_the_identifier_of_the_settings() -> None:
    made = record(lambda: rds_postgres(stack="a.b", identifier="orders"))
    assert made.one("aws:rds/instance:Instance").inputs["identifier"] == "orders"
    assert (
        made.of_type("aws:cloudwatch/logGroup:LogGroup")[0]
        .inputs["name"]
        .startswith("/aws/rds/instance/orders/")
    )


def test_objects_carry_the_tags_that_s3_takes() -> None:
    tags = {f"t{number}": "x" for number in range(10)}
    assert object_tags(tags) == tags
    assert object_tags({**tags, "more": "x"}) == {}


def longest_server_user_data() -> str:
    machine = ServerMachine(
        region="us-isof-south-1", bucket="b" * 63, report_key="report.json",
        log_group=stack_path(LONGEST_STACK, "self-managed", "postgresql"), volume=f"vol-{'0' * 17}",
    )  # fmt: skip
    return base64.b64decode(server_user_data.user_data_base64(launcher_sources("node"), machine)).decode(
        "latin-1"
    )


def longest_gateway_user_data() -> str:
    machine = GatewayMachine(
        region="us-isof-south-1",
        account="123456789012",
        gateway=stack_path(LONGEST_STACK, "gateway"),
        document=ObjectAddress(bucket="b" * 63, key="gateway.json"),
        reports=ObjectAddress(bucket="b" * 63, key="k" * 100),
        artifact=ObjectPointer(bucket="b" * 63, key="gateway.zip", version="v" * 1024, sha256="0" * 64),
        application="a" * 100 + ":" + "b" * 99,
        port=8443,
        metrics_port=9464,
    )
    log_group = stack_path(LONGEST_STACK, "gateway", "gateway")
    text = gateway_user_data.user_data_base64(launcher_sources("gateway"), machine, log_group)
    return base64.b64decode(text).decode("latin-1")


def longest_configuration() -> str:
    hold = Hold.model_construct(until="2026-12-01T00:00:00.000000+00:00", reason="\N{GRINNING FACE}" * 200)
    given = config(rds__databaseRoles={"administrator": "\u6771" * 21}, rds__port=65535)
    server = settings.load(given).rds
    assert server is not None
    held = server.model_copy(update={"reconcile": Reconcile.model_construct(hold=hold)})
    return CONFIGURATION_VARIABLE + configuration_json(
        held, host="h" * 120, region="us-isof-south-1", master_secret_arn="a" * 160
    )


NEVER_EXCEEDED: dict[str, list[Callable[[], str]]] = {
    "USER_DATA": [longest_server_user_data, longest_gateway_user_data],
    "FUNCTION_ENVIRONMENT": [longest_configuration],
    # A leaf has a name of 64 characters and one URI of 1,024.
    "SECRET_VALUE": [lambda: IdentityDocument(certificate="c" * 4_000, private_key="k" * 1_000).render()],
}


@pytest.mark.parametrize("row", NEVER_EXCEEDED)
def test_the_longest_names_keep_what_they_are_part_of_within_its_quota(row: str) -> None:
    quota: quotas.Quota = getattr(quotas, row)
    for longest in NEVER_EXCEEDED[row]:
        text = longest()
        size = len(text) if row == "USER_DATA" else quota.size(text)
        assert quota.excess(size) is None, size


def test_user_data_above_its_limit_is_refused() -> None:
    room = 16_384 - len(base64.b64decode(server_user_data.encoded("")))
    assert len(base64.b64decode(server_user_data.encoded("x" * room))) == 16_384
    with pytest.raises(ValueError, match="makes 16385 bytes of user-data"):
        server_user_data.encoded("x" * (room + 1))


def test_sizes_are_counted_as_aws_counts_them() -> None:
    assert quotas.INLINE_POLICIES.size('{ "a":\n\t"\u00e9" }', "b c") == len('{"a":"e"}') + 2
    assert quotas.BUCKET_POLICY.size("\u00e9 ") == 3
    assert quotas.SECRET_POLICY.size("\u00e9 ") == 2


def test_every_row_is_tested() -> None:
    kept = {"ROLE_NAME", "POLICY_NAME", "ROLE_DESCRIPTION", "OBJECT_TAGS", "SCHEDULE_EVENT"}
    tested = {case[0] for case in REFUSED} | set(OF_EXTERNAL_AUTHORITIES) | set(NEVER_EXCEEDED) | kept
    assert {name for name, value in vars(quotas).items() if isinstance(value, quotas.Quota)} == tested
