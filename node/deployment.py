"""Takes a server from one desired state to the next, stage by stage, and back if that fails.

Every stage can be repeated, and no run relies on an earlier one having completed: after a kill at any
point the next run either continues to the same state or returns to the applied one.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from node import cluster, generation, machine_file, server_process
from node.certificate import leaf_not_after, leaf_sha256
from node.desired_state import Machine, Manifest, Outcome, Report
from node.drift import Drift
from node.fetch import Store
from node.format_record import FormatRecord
from node.layout import Layout
from node.machine_platform import Platform, of
from node.overrides import Overrides, observe
from node.pristine import Pristine
from node.report import Reporter, timestamp
from node.roles import Roles, read_journal
from node.scratch_server import ScratchServer
from node.state import Applied, LastAttempt, NewestManifest, State
from node.switch import ServingExpectation, Switch
from node.validation import DesiredState, validated
from postgres.declaration import Declaration
from postgres.postgresql_conf import parse_postgresql_conf
from postgres.server_settings import access_settings, owned_settings, session_values
from runtime import files
from runtime.errors import FailedError, RefusedError
from runtime.instance_metadata import InstanceMetadata


class OtherNodeError(Exception):
    """The manifest names another version of node than the running one."""


def deploy(
    layout: Layout, machine: dict[str, Any], state: State, newest: NewestManifest, attempt: LastAttempt
) -> str:
    """Apply the desired state that the manifest `newest` describes, and report.

    Returns:
        `applied`, `refused`, `failed` or `other node`.

    Raises:
        FailedError: the report cannot be sent, or machine.json is wrong.
    """
    described = _machine(layout, machine)
    store = Store.of(described.bucket, described.region)
    deployment = Deployment(
        layout=layout,
        machine=described,
        state=state,
        newest=newest,
        attempt=attempt,
        platform=of(layout),
        store=store,
        reporter=Reporter(layout=layout, store=store, key=described.report_key),
        instance=InstanceMetadata().instance_id(),
    )
    return deployment.run()


def deliver_report(layout: Layout, machine: dict[str, Any]) -> None:
    """Send the report that an earlier run could not send.

    Raises:
        FailedError: it still cannot be sent.
    """
    described = _machine(layout, machine)
    store = Store.of(described.bucket, described.region)
    Reporter(layout=layout, store=store, key=described.report_key).deliver()


def _machine(layout: Layout, document: dict[str, Any]) -> Machine:
    try:
        return Machine.model_validate(document)
    except ValidationError as error:
        raise FailedError(f"{layout.machine}: {_wrong(error)}") from error


def _wrong(error: ValidationError) -> str:
    parts = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in parts)


@dataclass(kw_only=True)
class Deployment:
    """One attempt at one desired state."""

    layout: Layout
    machine: Machine
    state: State
    newest: NewestManifest
    attempt: LastAttempt
    platform: Platform
    store: Store
    reporter: Reporter
    instance: str
    reached: str = ""
    _earlier_outcome: str | None = None
    _unverified: bool = False
    _restarted: bool = False

    def run(self) -> str:
        """Apply, report and return the outcome, as `deploy` does."""
        try:
            return self._apply()
        except OtherNodeError:
            return "other node"
        except RefusedError as error:
            return self._give_up("refused", str(error))
        except (FailedError, OSError, subprocess.SubprocessError) as error:
            return self._give_up("failed", f"{self.reached}: {error}")
        except Exception as error:  # noqa: BLE001 - the outermost boundary: nothing else would report it
            return self._give_up("failed", f"{self.reached}: {type(error).__name__}: {error}")

    def stage(self, name: str) -> None:
        """Report the next stage. A retry after a failure reports nothing until it ends differently."""
        self.reached = name
        if self._earlier_outcome == "failed":
            return
        self.reporter.keep(self._report("applying", name))
        try:
            self.reporter.deliver()
        except FailedError as error:
            print(f"node: {error}", file=sys.stderr)

    def _apply(self) -> Outcome:
        self._earlier_outcome = self.reporter.last_outcome(self.newest.serial, self.newest.manifest)
        if (other := self.platform.package_work()) is not None:
            return self._wait(f"waiting until {other} has changed the machine's packages")
        self._refuse_step_back()
        manifest = self._manifest()
        self.stage("fetching files and secret")
        contents = {name: self.store.object(version) for name, version in manifest.files.items()}
        identity = self.store.secret(manifest.server_identity)
        self.stage("validating")
        desired = validated(manifest=manifest, contents=contents, identity=identity, now=_now())
        cluster.refuse_other_major(self.layout, manifest.major)
        self.stage(f"installing PostgreSQL {manifest.major}")
        self.platform.install(manifest.major, manifest.minor_floor, desired.packages())
        self.stage("preparing storage")
        self.platform.prepare(manifest.major, self.machine.volume, FormatRecord(store=self.store))
        cluster.refuse_other_major(self.layout, manifest.major)
        self.stage("writing the configuration")
        user = self.platform.user
        name = generation.name_of(self.newest.serial, self.newest.manifest)
        contents = desired.generation_files(user.name)
        folder = generation.write(self.layout, name, contents, user)
        data = self.layout.data(manifest.major)
        if not data.exists():
            self.stage("initialising the cluster")
        new = cluster.initialise(data, self.platform.binaries(manifest.major), user)
        self.stage("proving the configuration on a scratch server")
        scratch = ScratchServer(layout=self.layout, platform=self.platform, major=manifest.major)
        scratch.make(fresh=data if new else None)
        scratch.prove(folder)
        pristine = self._pristine(desired, name, contents)
        pristine.save(self.layout)
        files.replace_file(self.layout.applying, name, durable=True)
        machine_file.write(self.layout, user, manifest.major, pristine.machine_file)
        return self._serve(desired, pristine)

    def _wait(self, message: str) -> Outcome:
        """Leave everything to the next run."""
        print(f"node: {message}", file=sys.stderr)
        # One that was applied is so again once the server is up.
        if self._earlier_outcome != "applied":
            self.stage(message)
        return "failed"

    def _pristine(self, desired: DesiredState, name: str, contents: Mapping[str, bytes]) -> Pristine:
        major = desired.manifest.major
        settings = parse_postgresql_conf(contents["postgresql.conf"].decode())
        client_end = desired.manifest.client_certificates_not_after
        return Pristine(
            generation=name,
            major=major,
            files=contents,
            machine_file=machine_file.live(self.layout, self.platform, major),
            certificate_sha256=leaf_sha256(desired.identity),
            certificate_not_after=leaf_not_after(desired.identity),
            logins=desired.logins(),
            owned=owned_settings(major, settings),
            allowed=session_values(major),
            access=access_settings(major),
            hold=(hold.until, hold.reason) if (hold := desired.manifest.hold) else None,
            client_certificates_not_after=client_end and client_end.isoformat(),
        )

    def _serve(self, desired: DesiredState, pristine: Pristine) -> Outcome:
        major, name = pristine.major, pristine.generation
        switch = Switch(layout=self.layout, platform=self.platform, major=major)
        expected = ServingExpectation(certificate_sha256=pristine.certificate_sha256, logins=pristine.logins)
        running = server_process.find(self.layout.data(major)) is not None
        blocked = None
        if running and self.state.applied is not None:
            # Roles first, under the old configuration: those that the new one admits then exist, and if the
            # server refuses the declaration, nothing has been switched.
            blocked = self._roles_blocked(switch, pristine, self.state.applied)
        self.stage("switching the configuration")
        self._take_back_overrides(switch, pristine, running=running)
        self._unverified = True
        if running:
            switch.activate(name, expected)
        else:
            switch.start(name)
            switch.verify(expected)
        self._unverified = False
        if not running or self.state.applied is None:
            self._apply_roles(switch, desired.declaration)
        pending = self._restart_where_wanted(switch, desired.manifest, name, expected)
        if self._restarted:
            # Extensions had to wait for their libraries.
            self._apply_roles(switch, desired.declaration)
        return self._record(switch, pristine, pending, blocked)

    def _roles_blocked(self, switch: Switch, pristine: Pristine, applied: Applied) -> str | None:
        """Apply roles and grants; None, or why what somebody changed in the server is in the way.

        Access must go out whatever somebody did to a role. So the declaration is at fault only where the one
        before it can still be applied.

        Raises:
            RefusedError, FailedError: the declaration is at fault.
        """
        before = Pristine.load(self.layout, applied.generation)
        if before and before.declaration == pristine.declaration and pristine.held(_now()):
            return None
        try:
            self._apply_roles(switch, pristine.declaration)
        except (RefusedError, FailedError) as error:
            if before is None:
                raise
            try:
                self._apply_roles(switch, before.declaration)
            except (RefusedError, FailedError):
                return str(error)
            raise
        return None

    def _take_back_overrides(self, switch: Switch, pristine: Pristine, *, running: bool) -> None:
        """Let nothing beside the new files override them, from the first moment."""
        now = _now()
        overrides = Overrides(
            layout=self.layout, pristine=pristine, user=self.platform.user, held=pristine.held(now)
        )
        if not running:
            overrides.clean()
            return
        sql = switch.sql()
        findings, _ = overrides.take_back(sql, observe(sql, pristine))
        Drift.load(self.layout).after("server", findings, now).save(self.layout)

    def _apply_roles(self, switch: Switch, declaration: Declaration) -> None:
        self.stage("applying roles and grants")
        Roles(layout=self.layout, sql=switch.sql(), major=switch.major).apply(declaration)

    def _restart_where_wanted(
        self, switch: Switch, manifest: Manifest, name: str, expected: ServingExpectation
    ) -> tuple[str, ...]:
        pending = self._pending(switch)
        if not pending or manifest.restart == "pending":
            return pending
        self.stage(f"restarting for {', '.join(pending)}")
        self._restarted = True
        try:
            self.platform.stop(manifest.major)
            switch.start(name)
            switch.verify(expected)
        except FailedError as error:
            # A retry would end all sessions again, with the same result.
            raise RefusedError(f"restart for {', '.join(pending)}: {error}") from error
        return self._pending(switch)

    def _pending(self, switch: Switch) -> tuple[str, ...]:
        process = server_process.find(self.layout.data(switch.major))
        program = self.platform.binaries(switch.major) / "postgres"
        replaced = server_process.replaced_files(process, program) if process else ()
        return (*switch.pending_restart(), *replaced)

    def _record(
        self, switch: Switch, pristine: Pristine, pending: tuple[str, ...], blocked: str | None
    ) -> Outcome:
        self.stage("recording")
        name = pristine.generation
        applied = Applied(serial=self.newest.serial, manifest=self.newest.manifest, generation=name)
        waiting = f"; waiting for a restart: {', '.join(pending)}" if pending else ""
        outcome: Outcome = "failed" if blocked else "applied"
        without = f", but without all roles and grants: {blocked}" if blocked else ""
        self.state = State(applied=applied, last_attempt=replace(self.attempt, outcome=outcome))
        message = f"serving generation {name}{waiting}{without}"
        if blocked:
            print(f"node: {outcome}: {message}", file=sys.stderr)
        report = self._report(outcome, message).model_copy(
            update={
                "server_version": switch.server_version(),
                "certificate_sha256": pristine.certificate_sha256,
                "certificate_not_after": pristine.certificate_not_after,
                "pending_restart": pending,
            }
        )
        replace(Drift.load(self.layout), loaded=switch.loaded()).save(self.layout)
        self.reporter.keep(report)
        self.state.save(self.layout.state)
        files.remove_file(self.layout.applying)
        generation.prune(self.layout, keep=name)
        self.reporter.deliver()
        return outcome

    def _give_up(self, outcome: Outcome, message: str) -> str:
        try:
            if self.state.applied is not None:
                self._restore(self.state.applied)
            elif self._unverified and outcome == "refused":
                self._take_down()
        except (FailedError, RefusedError, OSError, subprocess.SubprocessError) as error:
            outcome = "failed"
            message = f"{message}\nreturning to the applied configuration: {error}"
        print(f"node: {outcome}: {message}", file=sys.stderr)
        report = self._report(outcome, message)
        self.state = replace(self.state, last_attempt=replace(self.attempt, outcome=outcome))
        try:
            self.reporter.keep(report)
            self.state.save(self.layout.state)
            files.remove_file(self.layout.applying)
        except OSError as error:
            # A full disk must not silence the machine.
            print(f"node: {error}", file=sys.stderr)
            self.reporter.deliver_unkept(report)
        else:
            self.reporter.deliver()
        return outcome

    def _take_down(self) -> None:
        # There is no earlier configuration to return to, and a stopped server is better than an open one.
        self.platform.stop(self.layout.initialised_majors()[-1])
        self.layout.current.unlink()

    def _restore(self, applied: Applied) -> None:
        majors = self.layout.initialised_majors()
        pristine = Pristine.load(self.layout, applied.generation)
        if not majors or pristine is None:
            return
        switch = Switch(layout=self.layout, platform=self.platform, major=majors[-1])
        machine_file.write(self.layout, self.platform.user, switch.major, pristine.machine_file)
        if self._restarted and server_process.find(self.layout.data(switch.major)):
            self.platform.stop(switch.major)
        if server_process.find(self.layout.data(switch.major)) is None:
            switch.start(applied.generation)
        elif self.layout.current_generation() != applied.generation:
            switch.point(applied.generation)
            loaded = switch.reload()
            replace(Drift.load(self.layout), loaded=loaded).save(self.layout)
        if read_journal(self.layout.journal) != [pristine.declaration]:
            Roles(layout=self.layout, sql=switch.sql(), major=switch.major).apply(pristine.declaration)

    def _refuse_step_back(self) -> None:
        applied = self.state.applied
        if applied is None or self.newest.serial > applied.serial:
            return
        if (self.newest.serial, self.newest.manifest) != (applied.serial, applied.manifest):
            raise RefusedError(
                f"serial {self.newest.serial} with manifest {self.newest.manifest[:8]} is not newer "
                f"than the applied one, {applied.serial} with manifest {applied.manifest[:8]}: "
                "a revert has a new serial, which 'pulumi up' gives it"
            )

    def _manifest(self) -> Manifest:
        text = self.newest.text
        # A newer manifest may have fields that only the version of node that it names knows.
        try:
            named = json.loads(text)["node"]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            raise RefusedError("manifest: it does not name a node") from error
        if self.attempt.node is not None and named != self.attempt.node:
            raise OtherNodeError
        try:
            return Manifest.model_validate_json(text)
        except ValidationError as error:
            raise RefusedError(f"manifest: {_wrong(error)}") from error

    def _report(self, outcome: Outcome, message: str) -> Report:
        applied = self.state.applied if self._serves() else None
        return Report(
            serial=self.newest.serial,
            manifest_sha256=self.newest.manifest,
            instance=self.instance,
            outcome=outcome,
            message=message,
            applied_serial=applied.serial if applied else None,
            node_sha256=self.attempt.node,
            time=timestamp(),
        )

    def _serves(self) -> bool:
        """Whether a server runs: without its volume none does, whatever was applied."""
        majors = self.layout.initialised_majors()
        return any(server_process.find(self.layout.data(major)) is not None for major in majors)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
