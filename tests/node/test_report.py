"""When a machine sends its report."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

import pytest

from node.desired_state import Report
from node.fetch import Store
from node.layout import Layout
from node.report import Reporter


class Bucket:
    """Counts what is put."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def put(self, key: str, text: str) -> None:
        assert key == "report.json"
        self.texts.append(text)


@pytest.mark.parametrize(
    ("age", "sent"),
    [
        (0, 1),
        (3500, 1),
        (3700, 2),
        # The clock was set back.
        (-600, 2),
    ],
)
def test_a_report_is_sent_again_when_the_last_was_an_hour_ago(tmp_path: Path, age: int, sent: int) -> None:
    layout, bucket = Layout(tmp_path), Bucket()
    layout.home.mkdir(parents=True)
    reporter = Reporter(layout=layout, store=cast("Store", bucket), key="report.json")
    given: dict[str, Any] = {"serial": 3, "manifestSha256": "a" * 64, "instance": "i-1", "outcome": "applied"}
    reporter.keep(Report.model_validate({**given, "message": "", "time": "2026-11-30T12:00:00+00:00"}))
    reporter.deliver()
    moment = time.time() - age
    os.utime(layout.delivered_report, (moment, moment))
    reporter.deliver()
    assert len(bucket.texts) == sent
    assert set(bucket.texts) == {layout.report.read_text()}
