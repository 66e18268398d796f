"""The judge does not ask the judged: whatever the program's sources say, the pack states what it expects."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
RDS = "postgres/rds_parameters.py"
SERVER = "postgres/server_settings.py"
ACCESS = "postgres/access.py"
INSTANCE = "components/rds/instance.py"
LISTENER = "components/gateway/listener.py"
CERTIFICATES = "components/pki/certificates.py"
BUCKET = "components/private_bucket.py"


class Edit(NamedTuple):
    """What a source states, and what it is changed to."""

    file: str
    old: str
    new: str


class Weakening(NamedTuple):
    """A rule, a stack that it stops, and what is changed; several edits where the program checks itself."""

    rule: str
    stack: str
    edits: tuple[Edit, ...]


def weakening(rule: str, stack: str, *edit: str) -> Weakening:
    """A weakening by one edit."""
    return Weakening(rule, stack, (Edit(*edit),))


WEAKENINGS: tuple[Weakening, ...] = (
    # RDS
    weakening("N41", "prod", RDS, 'FORCE_SSL = "rds.force_ssl"', 'FORCE_SSL = "rds.force_tls"'),
    weakening("N41", "prod", RDS, 'FORCE_SSL: "1"', 'FORCE_SSL: "0"'),
    weakening("N42", "prod", RDS, "MINIMUM_PROTOCOL: minimum_protocol", 'MINIMUM_PROTOCOL: "TLSv1.1"'),
    weakening("N42", "prod", RDS, '",".join(CIPHERS)', '",".join(_CIPHERS_WITH_CBC)'),
    weakening("N43", "prod", RDS, '_method": "scram",', '_method": "md5+scram",'),
    weakening("N43", "prod", RDS, 'encryption": "scram-sha-256",\n', 'encryption": "md5",\n'),
    weakening("P002", "prod", INSTANCE, "storage_encrypted=True", "storage_encrypted=False"),
    weakening("P001", "prod", INSTANCE, "publicly_accessible=False", "publicly_accessible=True"),
    weakening("P025", "prod", INSTANCE, "manage_master_user_password=True", 'password="swordfish"'),
    weakening("P014", "prod", INSTANCE, "authentication_enabled=True", "authentication_enabled=False"),
    # The server of its own
    weakening("N09", "dev", SERVER, '"ssl": "on"', '"ssl": "off"'),
    weakening("N13", "dev", SERVER, '_encryption"] = "scram-sha-256"', '_encryption"] = "md5"'),
    Weakening(
        "N04",
        "dev",
        (
            Edit(ACCESS, "method=AuthenticationMethod.CERT", "method=AuthenticationMethod.TRUST"),
            Edit("postgres/hba_analysis.py", 'finding("error", "trust"', 'finding("warning", "trust"'),
        ),
    ),
    weakening("P033", "dev", "components/self_managed/machine.py", 'tokens="required"', 'tokens="optional"'),
    # Certificates
    weakening("N22", "dev", CERTIFICATES, 'ecdsa_curve="P256"', 'ecdsa_curve="P224"'),
    weakening("N20", "dev", CERTIFICATES, "_HOURS_PER_DAY = 24", "_HOURS_PER_DAY = 240"),
    weakening("N23", "dev", CERTIFICATES, '"client_auth"]', '"client_auth", "server_auth"]'),
    # The gateway
    weakening("N60", "prod", LISTENER, 'mode="verify"', 'mode="passthrough"'),
    weakening("N60", "prod", LISTENER, 'mode="verify"', 'mode="off"'),
    weakening(
        "P099",
        "prod",
        LISTENER,
        "ssl_policy=args.settings.ssl_policy",
        'ssl_policy="ELBSecurityPolicy-2016-08"',
    ),
    weakening("P051", "prod", "components/gateway/machines.py", 'tokens="required"', 'tokens="optional"'),
    weakening("P104", "prod", LISTENER, 'protocol="HTTPS"', 'protocol="HTTP"'),
    weakening("N61", "prod", LISTENER, "certificate_expiry=False", "certificate_expiry=True"),
    # Storage and permissions
    weakening(
        "N46", "prod", "components/iam_documents.py", "dbuser:{resource_id}/{user}", "dbuser:{resource_id}/*"
    ),
    weakening("P035", "dev", "components/self_managed/machine.py", "encrypted=True", "encrypted=False"),
    weakening("P114", "dev", BUCKET, "ignore_public_acls=True", "ignore_public_acls=False"),
    weakening("P115", "dev", BUCKET, "restrict_public_buckets=True", "restrict_public_buckets=False"),
    weakening("P112", "dev", BUCKET, "block_public_acls=True", "block_public_acls=False"),
    weakening("P113", "dev", BUCKET, "block_public_policy=True", "block_public_policy=False"),
    weakening(
        "P123",
        "dev",
        "components/iam_documents.py",
        '{"aws:SecureTransport": "false"}',
        '{"aws:SecureTransport": "true"}',
    ),
)
FIRST = WEAKENINGS[0]


def judged(weakenings: tuple[Weakening, ...]) -> list[list[str]]:
    """The rules that stop the program with each weakening alone."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.policy.weakened"],
        input=json.dumps(
            [{"stack": each.stack, "edits": [edit._asdict() for edit in each.edits]} for each in weakenings]
        ),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_wrong_name_in_the_program_does_not_blind_the_pack() -> None:
    [found] = judged((FIRST,))
    assert f"PGTLS-{FIRST.rule}" in found


@pytest.mark.long
def test_what_the_program_states_is_stated_by_the_pack_too() -> None:
    sound = [Weakening("", stack, ()) for stack in ("dev", "prod")]
    found = judged((*sound, *WEAKENINGS))
    assert found[: len(sound)] == [[], []], "the sound program passes"
    missed = {
        f"{each.rule}: {each.edits[0]}": rules
        for each, rules in zip(WEAKENINGS, found[len(sound) :], strict=True)
        if f"PGTLS-{each.rule}" not in rules
    }
    assert missed == {}


@pytest.mark.long
@pytest.mark.parametrize("stack", ["prod", "dev"])
def test_a_preview_of_the_weakened_program_is_red(stack: str, tmp_path: Path) -> None:
    rule, _, (edit, *_) = (
        FIRST if stack == "prod" else next(each for each in WEAKENINGS if each.rule == "N09")
    )
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    source = tmp_path / edit.file
    source.write_text(source.read_text(encoding="utf-8").replace(edit.old, edit.new), encoding="utf-8")
    # What is shipped to machines is what git tracks.
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    # As `make preview` does it.
    done = subprocess.run(
        [sys.executable, "-m", "preview", "--stack", stack],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"PGTLS-{rule}" in done.stdout + done.stderr
