"""The administrator of an instance. It logs in by IAM; the master creates it and corrects it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from functions.roles.configuration import Configuration
from functions.roles.credentials import SecretAccessDenied, login_token, read_master
from functions.roles.journal import allow_journal_step, journal_check
from functions.roles.retry import RetryPolicy
from functions.roles.session import DatabaseSession, LoginRefused, Server
from functions.roles.steps import Progress, run_step
from postgres.administrator import administrator_deviations, administrator_steps
from runtime.errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """The administrator of the configured server.

    Attributes:
        configuration: The function's configuration.
        progress: Counts the steps that ran.
        retry: How long to wait for permissions that AWS has not propagated yet.
    """

    configuration: Configuration
    progress: Progress
    retry: RetryPolicy

    @property
    def name(self) -> str:
        """Name of the role."""
        return self.configuration.administrator

    @contextmanager
    def session(self, database: str | None = None) -> Iterator[DatabaseSession]:
        """A session of the administrator, by a token of its own.

        Raises:
            RefusedError, FailedError: as `Server.session`, or there are no credentials to sign with.
        """
        place = self.configuration
        token = login_token(host=place.host, port=place.port, user=self.name, region=place.region)
        with self._server().session(self.name, token, *([database] if database else [])) as session:
            yield session

    @contextmanager
    def master_session(self, database: str | None = None) -> Iterator[DatabaseSession]:
        """A session of the master, for what the administrator may not do.

        Raises:
            RefusedError, FailedError: as `Server.session`, or the secret cannot be read.
        """
        # Read again for each attempt: the password may just have been rotated.
        master = read_master(self.configuration.master_secret_arn, self.configuration.region)
        if master.username == self.name:
            raise RefusedError(
                f"administrator {self.name} is the master user of {self.configuration.server}: rds_iam would "
                "lock its password out; choose another name"
            )
        server, place = self._server(), [database] if database else []
        with server.session(master.username, master.password, *place, only_scram=True) as session:
            yield session

    def ensure(self) -> None:
        """Check that the administrator can log in and is as it must be; otherwise have the master correct it.

        Raises:
            RefusedError: the master cannot correct it.
            FailedError: the run may succeed later.
        """
        try:
            with self.session() as session:
                if not self._deviations(session):
                    return
        except LoginRefused:
            # A new instance has no such role, and a server does not tell that from a wrong token.
            pass
        self._correct()
        with ExitStack() as stack:
            # The permission to connect may be newer than this call, and takes seconds to arrive.
            session = self.retry.call(lambda: stack.enter_context(self.session()), (LoginRefused,))
            deviations = self._deviations(session)
        if deviations:
            raise RefusedError(
                f"administrator {self.name} of {self.configuration.server} {', '.join(deviations)}, which "
                "the master cannot change; drop the role or choose another name"
            )

    def _correct(self) -> None:
        with ExitStack() as stack:
            session = self.retry.call(
                lambda: stack.enter_context(self.master_session()), (SecretAccessDenied, LoginRefused)
            )
            for step in administrator_steps(self.name, self.configuration.major, "rds"):
                run_step(step, session, self.progress)
            run_step(allow_journal_step(self.name), session, self.progress)

    def _deviations(self, session: DatabaseSession) -> list[str]:
        query = administrator_deviations(self.name, self.configuration.major)
        deviations = [deviation for (deviation,) in session.run(query)]
        if not session.has_row(journal_check(self.name).query):
            deviations.append("may not create the schema of its journal")
        return deviations

    def _server(self) -> Server:
        place = self.configuration
        return Server(host=place.host, port=place.port, ca_pem=place.server_ca_pem)
