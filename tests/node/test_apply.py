"""A whole apply against real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.apply import DONE


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_first_apply_makes_a_server_with_certificate_login(major: int, machine_of: Callable) -> None:
    machine = machine_of(major)
    serial = machine.publish()
    assert machine.apply() == DONE, machine.report()
    report = machine.report()
    assert report["outcome"] == "applied"
    assert report["serial"] == report["appliedSerial"] == serial
    with machine.connect() as connection:
        row = connection.execute(
            "SELECT session_user, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert row == ("app_user", "TLSv1.3")
