"""A client that nothing may disturb."""

from __future__ import annotations

import threading

import psycopg

from tests.behaviour.conftest import RunningSandbox

LOGINS_PER_SECOND = 10


class SteadyClient(threading.Thread):
    """Logs in ten times a second, and counts."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        super().__init__()
        self.files = sandbox.client_files("app_user")
        self.sandbox = sandbox
        self.logins = 0
        self.failures: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(1 / LOGINS_PER_SECOND):
            try:
                with self.sandbox.login("app_user", self.files) as connection:
                    connection.execute("SELECT 1")
                self.logins += 1
            except psycopg.Error as error:
                self.failures.append(str(error))

    def __enter__(self) -> SteadyClient:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.join()
