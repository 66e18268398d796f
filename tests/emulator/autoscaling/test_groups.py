"""Instances of a group: what they run, as whom, and that there are always as many as wanted."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from emulator.autoscaling.service import UnknownGroup, UnknownVersion
from emulator.postgresql_server.server_user import server_user
from engine import processes
from engine.project import CHECKOUT
from tests.emulator.autoscaling.conftest import SECONDS, Scaling, artifact, get


def start(scaling: Scaling, **more) -> None:
    scaling.groups.put(scaling.group(scaling.template(), **more))
    scaling.steady()


def wait_until(scaling: Scaling, holds) -> None:
    with scaling.running._steadied:
        assert scaling.running._steadied.wait_for(holds, SECONDS), scaling.running.last_lines(20)


def test_an_instance_runs_the_artifact_of_its_user_data_and_nothing_of_the_checkout(scaling):
    start(scaling)
    (told,) = scaling.ask()
    assert told["version"] == "v1"
    assert told["machine"]["gateway"] == "/gateway"
    inside = [path for path in told["path"] if Path(path).is_relative_to(CHECKOUT)]
    assert inside == []
    assert str(scaling.folder / "auto-scaling" / "artifacts") in told["environment"]["PYTHONPATH"]


def test_an_instance_gets_no_credentials_but_a_metadata_service_of_its_own(scaling, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the operator")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the operator")
    start(scaling)
    (told,) = scaling.ask()
    environment = told["environment"]
    assert "of the operator" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == scaling.endpoint.url
    assert environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith("http://")


def test_a_gateway_runs_as_the_servers_user_or_its_log_says_why_it_cannot(scaling):
    start(scaling)
    (told,) = scaling.ask()
    said = f"user {server_user().name} cannot run" in scaling.running.last_lines(50)
    assert (told["uid"] == server_user().uid) != said


def test_an_artifact_with_another_hash_never_runs(scaling):
    good, wrong = scaling.template(), scaling.template(sha256="0" * 64)
    scaling.groups.put(scaling.group(good, name="control"))
    scaling.groups.put(scaling.group(wrong))
    assert scaling.groups.named("control").steady_within(SECONDS)
    wait_until(scaling, lambda: "its SHA-256 is" in scaling.running.last_lines(5))
    assert all(instance.process is None for instance in scaling.running.instances)


def test_an_artifact_that_the_role_may_not_read_runs_on_no_instance_and_does_once_it_may(scaling):
    scaling.allow("s3:ListBucket")
    scaling.groups.put(scaling.group(scaling.template()))
    wait_until(scaling, lambda: "AccessDenied" in scaling.running.last_lines(5))
    scaling.allow("s3:GetObjectVersion")
    scaling.steady()


def test_a_gateway_that_was_killed_is_started_again_on_the_same_instance(scaling):
    start(scaling)
    (instance,) = scaling.running.instances
    before = instance.process
    assert before is not None
    processes.send_signal(before, signal.SIGKILL)
    wait_until(scaling, lambda: instance.process not in (None, before) and instance.serves("/healthz"))
    assert [item.instance.instance_id for item in scaling.running.instances] == [
        instance.instance.instance_id
    ]


def test_instances_are_spread_over_the_zones_and_have_addresses_of_their_own(scaling):
    start(scaling, desired=2)
    found = [item.instance for item in scaling.running.instances]
    assert {item.subnet.availability_zone for item in found} == {"eu-central-1a", "eu-central-1b"}
    assert len({item.private_ip for item in found}) == len({item.port for item in found}) == 2
    client = scaling.endpoint.client("autoscaling")
    asked = client.describe_auto_scaling_groups
    (described,) = asked(AutoScalingGroupNames=["gateways"])["AutoScalingGroups"]
    assert (described["AutoScalingGroupName"], described["DesiredCapacity"]) == ("gateways", 2)
    members = {(each["InstanceId"], each["LifecycleState"]) for each in described["Instances"]}
    assert members == {(item.instance_id, "InService") for item in found}
    assert asked(AutoScalingGroupNames=["other"])["AutoScalingGroups"] == []
    with pytest.raises(ClientError, match="SetDesiredCapacity has no stand-in"):
        client.set_desired_capacity(AutoScalingGroupName="gateways", DesiredCapacity=1)


def test_a_group_shrinks_and_grows_to_what_is_desired(scaling):
    template = scaling.template()
    scaling.groups.put(scaling.group(template, desired=2))
    scaling.steady()
    first = {item.instance.instance_id for item in scaling.running.instances}
    scaling.groups.put(scaling.group(template, desired=1))
    scaling.steady()
    (left,) = scaling.running.instances
    assert left.instance.instance_id in first


def test_a_new_version_replaces_instances_one_after_the_other_and_one_always_serves(scaling):
    start(scaling, desired=2)
    before = {item.instance.instance_id for item in scaling.running.instances}
    scaling.groups.put(scaling.group(scaling.template(2), desired=2))
    serving: list[int] = []

    def replaced() -> bool:
        serving.append(sum(item.serves("/healthz") for item in scaling.running.instances))
        return scaling.running._is_steady()

    wait_until(scaling, replaced)
    assert {told["version"] for told in scaling.ask()} == {"v2"}
    assert not before & {item.instance.instance_id for item in scaling.running.instances}
    assert min(serving) >= 2


def test_a_version_that_does_not_start_leaves_the_old_instances_serving(scaling):
    start(scaling)
    (old,) = scaling.running.instances
    broken = scaling.template(2, content=artifact(scaling.folder, "broken"))
    scaling.groups.put(scaling.group(broken))
    wait_until(scaling, lambda: "this artifact is broken" in scaling.running.last_lines(20))
    assert get(old.instance.port)["version"] == "v1"
    scaling.groups.put(scaling.group(scaling.template(3)))
    scaling.steady()
    assert [told["version"] for told in scaling.ask()] == ["v3"]


def test_without_instance_refresh_only_new_instances_have_the_new_version(scaling):
    start(scaling, refreshes=False)
    scaling.groups.put(scaling.group(scaling.template(2), refreshes=False, desired=2))
    scaling.steady()
    assert {told["version"] for told in scaling.ask()} == {"v1", "v2"}


def test_a_successor_takes_over_running_gateways_and_their_credentials(scaling):
    start(scaling)
    (before,) = scaling.ask()
    scaling.groups.stop()
    scaling.balancers.stop()
    scaling.open()
    scaling.steady()
    (after,) = scaling.ask()
    assert after["pid"] == before["pid"]
    name = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    assert after["environment"][name] == before["environment"][name]
    (instance,) = scaling.running.instances
    assert instance._metadata == before["environment"][name]


def test_a_stopped_sandbox_leaves_no_gateway_and_starts_them_again(scaling):
    start(scaling)
    (before,) = scaling.ask()
    scaling.groups.stop_all()
    assert processes.identity_of(before["pid"]) is None
    scaling.open()
    scaling.steady()
    (after,) = scaling.ask()
    assert after["version"] == "v1"


def test_a_deleted_group_leaves_no_process_no_artifact_and_no_instance(scaling):
    start(scaling)
    (told,) = scaling.ask()
    scaling.groups.delete("gateways")
    assert processes.identity_of(told["pid"]) is None
    assert not list((scaling.folder / "auto-scaling" / "groups").glob("*"))
    assert not list((scaling.folder / "auto-scaling" / "artifacts").glob("*"))
    with pytest.raises(UnknownGroup):
        scaling.groups.named("gateways")


def test_a_gateway_is_known_as_a_part_of_its_sandbox_alone(scaling, tmp_path):
    start(scaling)
    (told,) = scaling.ask()
    assert told["pid"] in {identity.pid for identity in processes.find(scaling.folder)}
    assert told["pid"] not in {identity.pid for identity in processes.find(tmp_path / "other")}


def test_files_with_secrets_are_readable_by_their_owner_alone(scaling):
    start(scaling)
    files = [
        *scaling.folder.glob("auto-scaling/groups/*/instances/*/instance.json"),
        *scaling.folder.glob("auto-scaling/groups/*/instances/*/gateway.log"),
    ]
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_version_of_a_launch_template_stays_what_it_was(scaling):
    one, two = scaling.template(), scaling.template(2)
    scaling.groups.put_template(one)
    scaling.groups.put_template(two)
    assert scaling.groups.template(one.template_id, 1) == one
    with pytest.raises(UnknownVersion):
        scaling.groups.template(one.template_id, 3)
