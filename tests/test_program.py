"""The whole program, once per stack file."""

from __future__ import annotations

import json
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
import pytest
import yaml

from components import stack as assembly
from pgpasswordless.connections import Connections
from tests.components.examples import GATEWAY
from tests.recording_monitor import Recording, is_taggable, pem, plain, record, tags_of, texts_outside_secrets
from tests.signed_certificates import authority_pem

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "passwordless-postgres"
TOKEN = f"{PROJECT}:index:"
MARKER = "PRIVATE-KEY-MARKER"
STACKS = sorted(path.name.split(".")[1] for path in (ROOT / "stacks").glob("Pulumi.*.yaml"))
FUNCTION = "aws:lambda/function:Function"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
WORK_AS_A_ROLE = (
    FUNCTION, "aws:autoscaling/group:Group", "aws:ec2/flowLog:FlowLog", "aws:ec2/instance:Instance",
    "aws:rds/instance:Instance", "aws:scheduler/schedule:Schedule",
)  # fmt: skip

Sections = dict[str, Any]


def sections_of(stack: str) -> Sections:
    """The configuration of a stack file, with the sections by their names."""
    return yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]


def run(sections: Sections, stack: str = "sandbox", secret_keys: list[str] | None = None) -> Recording:
    config = {key: value if isinstance(value, str) else json.dumps(value) for key, value in sections.items()}

    def program() -> None:
        pulumi.runtime.set_all_config(config, secret_keys or [])
        runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")

    # Wheels for another platform are not what these tests are about.
    with mock.patch.object(assembly, "deployed_gateway_artifact", return_value=GATEWAY):
        return record(program, stack=stack, marker=MARKER)


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("PULUMI_CONFIG", "PULUMI_CONFIG_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    yield
    pulumi.runtime.set_all_config({}, [])


def test_there_is_a_stack_file() -> None:
    assert "sandbox" in STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_exports(stack: str, programs: dict[str, Recording]) -> None:
    exports = programs[stack].exports
    assert not [name for name, export in exports.items() if export.secret]
    document = Connections.model_validate(exports["connections"].value)
    assert document.stack == stack
    sections = sections_of(stack)
    server, rds = sections.get(f"{PROJECT}:selfManaged"), sections.get(f"{PROJECT}:rds")
    expected = {"self-managed": server, "rds": rds}
    assert set(document.databases) == {name for name, section in expected.items() if section}
    names = {"connections", "connectionsAddress"}
    assert exports["connectionsAddress"].value == "s3://connections-id/connections.json"
    if server:
        names |= {"host", "port", "pendingRestart"}
        assert document.databases["self-managed"].host == exports["host"].value
        assert set(document.databases["self-managed"].roles) == set(server["roles"])
    if rds:
        names |= {"rdsHost", "rdsResourceId", "applicationRoles"}
        assert document.databases["rds"].host == exports["rdsHost"].value
        assert document.databases["rds"].resource_id == exports["rdsResourceId"].value
        assert set(document.databases["rds"].roles) == set(rds["roles"])
        made = {name for name, role in rds["roles"].items() if "newIamRole" in role}
        assert set(exports["applicationRoles"].value) == made
    if front := sections.get(f"{PROJECT}:gateway"):
        names.add("gatewayUrl")
        assert document.gateway is not None
        assert document.gateway.url == exports["gatewayUrl"].value == f"https://{front['domainName']}"
        assert {name: client.role for name, client in document.gateway.clients.items()} == {
            name: client["role"] for name, client in front["clients"].items()
        }
        signed_here = front.get("clientAuthority", {}).get("source") != "external"
        for client in document.gateway.clients.values():
            assert (client.secret_arn is not None) is signed_here
    assert set(exports) == names


@pytest.mark.parametrize("stack", STACKS)
def test_every_resource_has_its_component_and_the_tags(stack: str, programs: dict[str, Recording]) -> None:
    tags = sections_of(stack).get(f"{PROJECT}:tags", {})
    for each in programs[stack].registrations:
        if each.type.startswith("pulumi:providers:") or not each.custom:
            continue
        assert each.parent_type.startswith(TOKEN), each.urn
        if is_taggable(each.type):
            assert tags.items() <= tags_of(each.inputs).items(), each.urn


@pytest.mark.parametrize("stack", STACKS)
def test_no_private_key_leaves_its_wrapper(stack: str, programs: dict[str, Recording]) -> None:
    recording = programs[stack]
    wrapped = 0
    for each in recording.registrations:
        leaks = [text for text in texts_outside_secrets(each.inputs) if MARKER in text]
        assert not leaks, f"{each.urn}: {leaks}"
        wrapped += MARKER in json.dumps(plain(each.inputs))
    for urn, outputs in recording.outputs.items():
        assert not any(MARKER in text for text in texts_outside_secrets(outputs)), urn
    for name, export in recording.exports.items():
        assert MARKER not in json.dumps(export.value), name
    if recording.of_type(f"{TOKEN}SelfManagedPostgres"):
        assert wrapped > 5, "the marker did not get anywhere, so this test proves nothing"


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_is_public(stack: str, programs: dict[str, Recording]) -> None:
    for each in programs[stack].registrations:
        inputs = plain(each.inputs)
        assert inputs.get("associatePublicIpAddress") in (None, False)
        assert inputs.get("mapPublicIpOnLaunch") in (None, False)
        assert "keyName" not in inputs
        if "ngressRule" in each.type and "Ingress" in each.type:
            assert inputs.get("cidrIpv4") != "0.0.0.0/0"
            assert inputs.get("cidrIpv6") != "::/0"
            assert inputs["fromPort"] == inputs["toPort"] != 22


@pytest.mark.parametrize("stack", STACKS)
def test_what_works_as_a_role_goes_before_the_roles_policies(
    stack: str, programs: dict[str, Recording]
) -> None:
    """Lambda, say, deletes a function's network interface as its role, long after the function."""
    recording = programs[stack]
    by_urn = {each.urn: each for each in recording.registrations}
    policies: dict[str, set[str]] = {}
    for each in recording.of_type("aws:iam/rolePolicy:RolePolicy"):
        for role in each.request.propertyDependencies["role"].urns:
            policies.setdefault(role, set()).add(each.urn)

    def outlived_by(urn: str) -> set[str]:
        found, ahead = set[str](), [urn]
        while ahead:
            new = set(by_urn[ahead.pop()].request.dependencies) & by_urn.keys() - found
            found |= new
            ahead += new
        return found

    workers = [each for token in WORK_AS_A_ROLE for each in recording.of_type(token)]
    assert workers
    for worker in workers:
        after = outlived_by(worker.urn)
        needed = {policy for role in policies.keys() & after for policy in policies[role]}
        assert needed, worker.urn
        assert needed <= after, f"{worker.urn} does not depend on {needed - after}"
        if worker.type == FUNCTION:
            groups = [urn for urn in worker.request.propertyDependencies["vpcConfig"].urns if GROUP in urn]
            assert groups, worker.urn
            own = {
                policy
                for role in worker.request.propertyDependencies["role"].urns
                for policy in policies[role]
            }
            for group in groups:
                assert own <= outlived_by(group), f"{group} does not depend on {own}"


def test_names_and_types_are_a_contract(programs: dict[str, Recording]) -> None:
    """A changed name or type is a new resource: rename only with an alias."""
    recording = programs["sandbox"]
    components = sorted(
        (each.type.removeprefix(TOKEN), each.name) for each in recording.registrations if not each.custom
    )
    roles = sorted(sections_of("sandbox")[f"{PROJECT}:selfManaged"]["roles"])
    clients = sorted(sections_of("sandbox")[f"{PROJECT}:gateway"]["clients"])
    identities = ["self-managed-server", *(f"self-managed-role-{role}" for role in roles)]
    assert components == sorted(
        [
            ("CertificateAuthority", "self-managed-clients"),
            ("CertificateAuthority", "server-authority"),
            ("ConnectionsDocument", "connections"),
            ("DatabaseMachine", "self-managed-machine"),
            ("DesiredState", "self-managed-state"),
            *(
                (kind, name)
                for kind in ("Identity", "IdentitySecret", "LeafCertificate")
                for name in [*identities, *(f"gateway-client-{client}" for client in clients)]
            ),
            ("CertificateAuthority", "gateway-authority"),
            ("ClientAuthority", "gateway-authority"),
            ("ClientRevocation", "gateway-authority"),
            ("GatewayAlarms", "gateway-alarms"),
            ("GatewayFirewall", "gateway-firewall"),
            ("GatewayMachines", "gateway-machines"),
            ("HeaderSuffixes", "gateway-headers"),
            ("MutualTlsGateway", "gateway"),
            ("MutualTlsListener", "gateway-lb"),
            ("PrivateBucket", "gateway-clients"),
            ("PrivateBucket", "gateway-document"),
            ("PrivateBucket", "gateway-lb-logs"),
            ("PrivateBucket", "gateway-machines-program"),
            ("PublishedGatewayDocument", "gateway-document"),
            ("ServerCertificate", "gateway-server"),
            ("TrustStore", "gateway-clients"),
            ("Network", "network"),
            ("PrivateBucket", "connections"),
            ("PrivateBucket", "rds-roles-program"),
            ("PrivateBucket", "self-managed-state"),
            ("RdsAlarms", "rds-alarms"),
            ("RdsPostgres", "rds"),
            ("ReconciliationSchedule", "rds-roles-schedule"),
            ("RolesFunction", "rds-roles"),
            ("SelfManagedPostgres", "self-managed"),
            ("ServerAlarms", "self-managed-alarms"),
            ("ServerFirewall", "rds-server"),
            ("ServerFirewall", "self-managed-server"),
        ]
    )
    of_the_server = {
        (each.type.split(":")[-1], each.name)
        for each in recording.registrations
        if each.custom and each.parent_name in ("self-managed", "self-managed-machine")
    }
    assert of_the_server == {
        ("Instance", "self-managed-machine-instance"),
        ("InstanceProfile", "self-managed-machine"),
        ("KeptImage", "self-managed-machine-image"),
        ("LogGroup", "self-managed-log"),
        ("NetworkInterface", "self-managed-machine-address"),
        ("NodeReport", "self-managed-report"),
        ("Record", "self-managed-host"),
        ("Role", "self-managed-machine"),
        ("RolePolicy", "self-managed-machine"),
        ("Volume", "self-managed-machine-data"),
        ("VolumeAttachment", "self-managed-machine-data"),
        ("Zone", "self-managed-zone"),
    }


def test_names_and_types_of_rds_are_a_contract(programs: dict[str, Recording]) -> None:
    of_rds = {
        (each.type.split(":")[-1], each.name)
        for each in programs["sandbox"].registrations
        if each.custom and each.parent_name == "rds"
    }
    roles = ("app_readonly", "app_user", "reporting")
    assert of_rds == {
        ("Instance", "rds-instance"),
        ("Key", "rds-key"),
        ("ParameterGroup", "rds-parameters"),
        ("SubnetGroup", "rds-subnets"),
        *(("LogGroup", f"rds-log-{log}") for log in ("iam-db-auth-error", "postgresql", "upgrade")),
        ("Role", "rds-monitoring"),
        ("RolePolicy", "rds-monitoring"),
        *(("Role", f"rds-application-{role}") for role in roles),
        *(("RolePolicy", f"rds-connect-{role}") for role in roles),
    }


def test_names_and_types_of_the_gateway_are_a_contract(programs: dict[str, Recording]) -> None:
    of_the_gateway = {
        (each.type.split(":")[-1], each.name)
        for each in programs["sandbox"].registrations
        if each.custom
        and each.name.startswith("gateway-")
        and not each.name.startswith("gateway-client-")
        and each.parent_type != f"{TOKEN}PrivateBucket"
    }
    assert of_the_gateway == {
        ("BucketObjectv2", "gateway-clients-authorities"),
        ("BucketObjectv2", "gateway-clients-revoked-1"),
        ("BucketObjectv2", "gateway-document-document"),
        ("BucketObjectv2", "gateway-machines-program"),
        ("Certificate", "gateway-server"),
        ("CertificateValidation", "gateway-server"),
        ("Group", "gateway-machines"),
        ("InstanceProfile", "gateway-machines"),
        ("KeptImage", "gateway-machines-image"),
        ("GatewayReports", "gateway-reports"),
        ("LaunchTemplate", "gateway-machines"),
        ("Listener", "gateway-lb-https"),
        ("LoadBalancer", "gateway-lb"),
        ("LogGroup", "gateway-machines-log"),
        *(
            ("MetricAlarm", f"gateway-alarms-{what}")
            for what in (
                "client-authority",
                "client-certificate",
                "foreign-document",
                "gateway-errors",
                "load-balancer-errors",
                "refused-clients",
                "refused-document",
                "revocation-list",
                "unhealthy",
            )
        ),
        ("Policy", "gateway-machines-load"),
        ("PrivateKey", "gateway-authority-1-key"),
        ("PrivateKey", "gateway-headers-1"),
        ("Record", "gateway-host"),
        ("Record", "gateway-server-validation"),
        ("RevocationList", "gateway-authority-1-revoked"),
        ("Role", "gateway-machines"),
        ("RolePolicy", "gateway-machines"),
        ("SecurityGroup", "gateway-firewall-load-balancer"),
        ("SecurityGroup", "gateway-firewall-targets"),
        ("SecurityGroupEgressRule", "gateway-firewall-to-aws"),
        ("SecurityGroupEgressRule", "gateway-firewall-to-database"),
        ("SecurityGroupEgressRule", "gateway-firewall-to-targets"),
        ("SecurityGroupIngressRule", "gateway-firewall-database-from-targets"),
        ("SecurityGroupIngressRule", "gateway-firewall-from-load-balancer"),
        *(
            ("SecurityGroupIngressRule", f"gateway-firewall-from-{network}")
            for network in ("127-0-0-0-8-4a7ea15", "1-128-9bdb9b5")
        ),
        ("SelfSignedCert", "gateway-authority-1-certificate"),
        ("Serial", "gateway-document-serial"),
        ("TargetGroup", "gateway-lb-gateway"),
        ("TrustStore", "gateway-clients"),
        ("TrustStoreRevocation", "gateway-clients-revoked-1"),
    }


def test_a_stack_without_sections_makes_nothing() -> None:
    recording = run({"aws:region": "eu-central-1"}, "empty")
    assert recording.registrations == []
    assert Connections.model_validate(recording.exports["connections"].value) == Connections(stack="empty")


def test_wrong_settings_end_the_program_before_anything_is_registered() -> None:
    sections = sections_of("sandbox")
    sections[f"{PROJECT}:selfManaged"]["major"] = 12
    sections[f"{PROJECT}:selfManaged"]["port"] = 22
    with pytest.raises(pulumi.RunError) as refused:
        run(sections)
    assert "major" in str(refused.value)
    assert "port" in str(refused.value)


def test_what_the_gateway_would_refuse_ends_the_program_before_anything_is_registered(tmp_path: Path) -> None:
    sections = sections_of("prod")
    other = tmp_path / "clients.pem"
    other.write_text(authority_pem("other"))
    sections[f"{PROJECT}:gateway"]["clientAuthority"]["bundle"] = str(other)
    with pytest.raises(pulumi.RunError, match=r"gateway\.clientAuthority: .*clientAuthorities signed it"):
        run(sections, "prod")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pem("EC PRIVATE KEY", "x") + pem("CERTIFICATE", "y"), "holds a private key, then a certificate: "),
        (pem("X509 CRL", "x"), "holds a revocation list: "),
        ("\x30\x82é", "holds binary data, such as DER or PKCS#12 .*: it is not ASCII"),
    ],
)
def test_a_file_that_holds_something_else_is_named_with_what_it_holds(
    tmp_path: Path, content: str, said: str
) -> None:
    sections = sections_of("prod")
    file = tmp_path / "clients.pem"
    file.write_text(content, encoding="latin-1")
    sections[f"{PROJECT}:gateway"]["clientAuthority"]["bundle"] = str(file)
    with pytest.raises(pulumi.RunError, match=rf"clientAuthority.bundle: '{file}' {said}"):
        run(sections, "prod")


def test_an_encrypted_section_is_refused_unread() -> None:
    key = f"{PROJECT}:selfManaged"
    with pytest.raises(pulumi.RunError, match="selfManaged: is encrypted"):
        run(sections_of("sandbox"), secret_keys=[key])


def test_readers_of_another_account_decrypt_with_the_stacks_own_key_through_secrets_manager() -> None:
    sections = sections_of("sandbox")
    foreign, own = (f"arn:aws:iam::{account}:role/app" for account in ("999999999999", "123456789012"))
    server = sections[f"{PROJECT}:selfManaged"]
    server["roles"]["app_user"]["secretReaders"] = [foreign, own]
    sections[f"{PROJECT}:certificates"]["secretsKey"] = "stack"
    recording = run(sections)
    key = recording.one("aws:kms/key:Key", "secrets")
    _, read, written = json.loads(plain(key.inputs)["policy"])["Statement"]
    through = {"StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"}}
    assert (read["Principal"], read["Action"], read["Condition"]) == (
        {"AWS": sorted([foreign, own])},
        "kms:Decrypt",
        through,
    )
    assert written["Condition"] == through
    encrypted = {
        each.name
        for each in recording.of_type("aws:secretsmanager/secret:Secret")
        if "kmsKeyId" in each.inputs
    }
    assert encrypted == {"self-managed-role-app_user"}
    assert recording.exports["secretsKeyArn"].value


def test_through_the_provider() -> None:
    sections = sections_of("sandbox")
    sections[f"{PROJECT}:selfManaged"]["databaseRoles"] = {
        "through": "provider",
        "administratorNetworks": ["127.0.0.0/8"],
    }
    recording = run(sections)
    provider = recording.has_properties(
        "pulumi:providers:postgresql",
        host="localhost",
        username="pgpl_admin",
        database="postgres",
        sslmode="verify-full",
        sslrootcert=authority_pem("server-authority-1-certificate"),
        superuser="false",
    )
    certificate = json.loads(plain(provider.inputs)["clientcert"])
    assert certificate["sslinline"] is True
    assert not any(MARKER in text for text in texts_outside_secrets(provider.inputs))
    counts = Counter(each.type for each in recording.registrations)
    assert counts["postgresql:index/role:Role"] == len(sections[f"{PROJECT}:selfManaged"]["roles"])
    roles = recording.one(f"{TOKEN}DatabaseRoles")
    assert roles.request.deletedWith.endswith("aws:ebs/volume:Volume::self-managed-machine-data")
    for each in recording.registrations:
        if each.type.startswith("postgresql:"):
            assert each.request.provider.startswith(provider.urn)
