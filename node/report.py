"""The machine's report: kept on disk until the bucket has accepted it, sent only when it changes."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass

from pydantic import ValidationError

from node.desired_state import DriftItem, Report
from node.drift import Drift
from node.fetch import Store
from node.layout import Layout
from runtime import files


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Writes one machine's report."""

    layout: Layout
    store: Store
    key: str

    def keep(self, report: Report) -> None:
        """Keep a report, with what had drifted, unless it differs from the last one in its time alone.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        report = self._with_drift(report)
        last = self._last()
        if last is None or last.model_copy(update={"time": report.time}) != report:
            files.replace_file(self.layout.report, report.to_json(), durable=True)

    def deliver(self) -> None:
        """Send the kept report if the bucket does not have it yet.

        Raises:
            FailedError: it cannot be sent.
        """
        last = self._last()
        if last is not None:
            report = last.model_copy(update={"time": timestamp()})
            try:
                self.keep(report)
            except OSError as error:
                print(f"node: {error}", file=sys.stderr)
                self.deliver_unkept(report)
                return
        if not self.layout.report.exists() or self.layout.report_is_delivered():
            return
        text = self.layout.report.read_bytes()
        self.store.put(self.key, text.decode())
        files.replace_file(self.layout.delivered_report, text, durable=True)

    def deliver_unkept(self, report: Report) -> None:
        """Send a report that cannot be kept.

        Raises:
            FailedError: it cannot be sent.
        """
        self.store.put(self.key, self._with_drift(report).to_json())

    def _with_drift(self, report: Report) -> Report:
        drift = [DriftItem(**item) for item in Drift.load(self.layout).reported()]
        return report.model_copy(update={"drift": tuple(drift)})

    def last_outcome(self, serial: int, manifest: str) -> str | None:
        """How the last report on this desired state ended; None if there is none."""
        last = self._last()
        return last.outcome if last and (last.serial, last.manifest_sha256) == (serial, manifest) else None

    def _last(self) -> Report | None:
        try:
            return Report.model_validate_json(self.layout.report.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def timestamp() -> str:
    """Now, ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
