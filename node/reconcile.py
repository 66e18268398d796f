"""Compares what is served with what was applied, on every run, and puts back what is ours.

Files first, since they decide who gets in; then what the running server made of them. Nothing restarts the
server or ends a session, and each repair stands alone: one that fails is reported and stops no other.

`pg_hba_file_rules` and `pg_ident_file_mappings` show the files, not what the server has loaded. So two things
together tell what is loaded: the files are as node wrote them, and nobody but node made the server read them.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from node import generation, machine_file, machine_platform, overrides, server_process
from node.drift import Drift, Finding
from node.generation import Access
from node.layout import Layout
from node.machine_platform import Platform
from node.overrides import Observed, Overrides, observe
from node.pristine import Pristine
from node.server_process import ServerProcess
from node.sql import SqlError
from node.state import State
from node.switch import ServingExpectation, Switch
from runtime import files
from runtime.errors import FailedError, RefusedError

COMPARE_SECONDS = 60
"""How often the catalogues are compared."""


@dataclass(kw_only=True)
class Reconciliation:
    """One run's comparison with the generation that was applied last."""

    layout: Layout
    platform: Platform
    pristine: Pristine
    drift: Drift
    now: datetime.datetime
    _known: Drift
    _interrupted: bool
    _rewritten: bool = False
    _wrong: bool = False

    @classmethod
    def of(cls, layout: Layout, state: State, now: datetime.datetime) -> Reconciliation | None:
        """That of the applied generation; None if there is none, or node does not know what it wrote.

        Raises:
            FailedError: platform.json is wrong.
        """
        pristine = Pristine.load(layout, state.applied.generation) if state.applied else None
        if pristine is None:
            return None
        known = Drift.load(layout)
        return cls(
            layout=layout,
            platform=machine_platform.of(layout),
            pristine=pristine,
            drift=known.recent(now),
            now=now,
            _known=known,
            _interrupted=layout.applying.exists(),
        )

    @property
    def _held(self) -> str:
        return self.pristine.held(self.now)

    def restore_files(self) -> None:
        """Put back the served files, the machine's own file and the link to the generation."""
        findings: list[Finding] = []
        for part in (self._generation, self._machine_file, self._link):
            try:
                findings += part()
            except OSError as error:
                findings.append(Finding(what="the served files", state="failed", why=str(error)))
        self._rewritten = bool(findings)
        self._wrong = any(finding.state == "failed" for finding in findings)
        # What a killed run left half done is no drift.
        hold = [Finding(what="reconciliation", state="held", why=self._held)] if self._held else []
        self.drift = self.drift.after("hold", hold, self.now)
        self.drift = self.drift.after("files", [] if self._interrupted else findings, self.now)

    def check_server(self) -> None:
        """Take back settings from beside the files, and make the server read its files if it must."""
        process = server_process.find(self.layout.data(self.pristine.major))
        if process is None or not process.ready:
            return
        findings: list[Finding] = []
        try:
            self.drift = self.drift.after("programs", self._replaced(process), self.now)
            findings += self._server()
        except (FailedError, RefusedError, SqlError, OSError) as error:
            findings.append(Finding(what="the running server", state="failed", why=str(error)))
        self.drift = self.drift.after("server", findings, self.now)

    def compare_catalogues(self) -> None:
        """Put roles, memberships and grants back, once a minute."""
        moment = self.now.timestamp()
        process = server_process.find(self.layout.data(self.pristine.major))
        recent = 0 <= moment - self.drift.compared < COMPARE_SECONDS
        if recent or self._interrupted or process is None or not process.ready:
            return
        # What it needs takes longer to import than all the rest.
        from node.roles import Roles

        switch = Switch(layout=self.layout, platform=self.platform, major=self.pristine.major)
        try:
            roles = Roles(layout=self.layout, sql=switch.sql(), major=self.pristine.major)
            found = roles.reconcile(self.pristine.declaration, held=bool(self._held))
        except (FailedError, RefusedError, SqlError, OSError) as error:
            findings = [Finding(what="roles and grants", state="failed", why=str(error))]
        else:
            findings = [
                *(Finding(what=what, state="repaired") for what in found.put_back),
                *(Finding(what=what, state="foreign") for what in found.foreign),
                *(Finding(what=what, state="held", why=self._held) for what in found.held),
                *(
                    Finding(what=failure.step.purpose, state="failed", why=failure.message)
                    for failure in found.failures
                ),
            ]
        self.drift = replace(self.drift.after("catalogues", findings, self.now), compared=moment)

    def keep(self) -> None:
        """Write down what was found, if it is new."""
        if self.drift != self._known:
            self.drift.save(self.layout)
            self._known = self.drift

    def _generation(self) -> Iterator[Finding]:
        folder = self.layout.generations / self.pristine.generation
        access = Access.of(self.platform.user)
        found = generation.differences(folder, self.pristine.files, access)
        if found:
            why = _failure(lambda: generation.write_folder(folder, self.pristine.files, access))
            yield from (_finding(what, why) for what in found)

    def _machine_file(self) -> Iterator[Finding]:
        found = machine_file.difference(
            self.layout, self.platform.user, self.pristine.major, self.pristine.machine_file
        )
        if found is not None:
            yield _finding(f"the machine's {found}", _failure(self._write_machine_file))

    def _write_machine_file(self) -> None:
        machine_file.write(self.layout, self.platform.user, self.pristine.major, self.pristine.machine_file)

    def _link(self) -> Iterator[Finding]:
        wanted = Path("generations") / self.pristine.generation
        try:
            found = self.layout.current.readlink()
        except OSError:
            found = None
        if found != wanted:
            yield _finding("the link to the served files was changed", _failure(lambda: self._point(wanted)))

    def _point(self, wanted: Path) -> None:
        if self.layout.current.is_dir() and not self.layout.current.is_symlink():
            files.remove_tree(self.layout.current)
        files.replace_link(self.layout.current, wanted)

    def _replaced(self, process: ServerProcess) -> Iterator[Finding]:
        program = self.platform.binaries(self.pristine.major) / "postgres"
        found = server_process.replaced_files(process, program)
        if found:
            what = f"a restart is pending: {', '.join(found)} was replaced on disk"
            yield Finding(what=what, state="foreign", why="sessions would end")

    def _server(self) -> Iterator[Finding]:
        switch = Switch(layout=self.layout, platform=self.platform, major=self.pristine.major)
        try:
            seen = observe(switch.sql(), self.pristine)
        except FailedError:
            # What it has loaded keeps node out.
            yield Finding(what="the server's local socket refused node", state="repaired")
            seen = self._reloaded(switch)
        taking = Overrides(
            layout=self.layout, pristine=self.pristine, user=self.platform.user, held=self._held
        )
        taken_back, changed = taking.take_back(switch.sql(), seen)
        foreign = seen.loaded != self.drift.loaded
        if changed or foreign or self._rewritten:
            left = self._reloaded(switch)
            taken_back = [_as_left(finding, left) for finding in taken_back]
            yield from self._problems(switch)
        yield from taken_back
        # A start reads all files, and its time says nothing about who changed them before.
        if foreign and seen.reloaded and self.drift.loaded is not None and not self._interrupted:
            yield Finding(what="the server was made to read its files by somebody else", state="repaired")

    def _reloaded(self, switch: Switch) -> Observed:
        if self._wrong:
            raise FailedError("the served files are not in order, so the server must not read them")
        loaded = switch.reload()
        self._rewritten = False
        self.drift = replace(self.drift, loaded=loaded)
        return observe(switch.sql(), self.pristine)

    def _problems(self, switch: Switch) -> Iterator[Finding]:
        expected = ServingExpectation(
            certificate_sha256=self.pristine.certificate_sha256, logins=self.pristine.logins
        )
        for problem in switch.problems(expected):
            yield Finding(what=problem, state="failed", why="the files are in order and were read")


def _finding(what: str, why: str) -> Finding:
    return Finding(what=what, state="failed" if why else "repaired", why=why)


def _failure(repair: Callable[[], None]) -> str:
    """Why a repair fails; empty when it does not."""
    try:
        repair()
    except (FailedError, OSError) as error:
        return str(error) or type(error).__name__
    return ""


def _as_left(finding: Finding, left: Observed) -> Finding:
    """The finding, corrected by what postgresql.auto.conf still holds after the reload."""
    if finding.state != "repaired" or finding.what not in map(overrides.in_words, left.auto):
        return finding
    return replace(finding, state="failed", why="postgresql.auto.conf still has it")
