"""The administrator of an instance: it logs in by IAM, and the master makes it and mends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from functions.roles.event import Event
from functions.roles.master_secret import SecretNotReadableYet, read_master
from functions.roles.patience import Patience
from functions.roles.progress import Progress
from functions.roles.record import may_make_record_step
from functions.roles.session import LoginRefused, Server, Session
from functions.roles.tokens import login_token
from postgres.administrator import administrator_deviations, administrator_steps
from runtime.errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Administrator:
    """The administrator that an event names, on the server that it names.

    Attributes:
        event: The event.
        progress: Where steps are noted.
        patience: How long to wait for permissions that are on their way.
    """

    event: Event
    progress: Progress
    patience: Patience

    @property
    def name(self) -> str:
        """Name of the role."""
        return self.event.administrator

    @contextmanager
    def session(self, database: str | None = None) -> Iterator[Session]:
        """A session of the administrator, by a token of its own.

        Raises:
            RefusedError, FailedError: as `Server.session`, or there are no credentials to sign by.
        """
        event = self.event
        token = login_token(host=event.host, port=event.port, user=self.name, region=event.region)
        with self._server().session(self.name, token, *([database] if database else [])) as session:
            yield session

    def ensure(self) -> None:
        """See to it that the administrator logs in and is as it must be, by the master where it is not.

        Raises:
            RefusedError: not even the master gets it there.
            FailedError: something stands in the way that may pass.
        """
        try:
            with self.session() as session:
                if not self._deviations(session):
                    return
        except LoginRefused:
            # On a new instance there is no such role, which a server does not say to strangers.
            pass
        self._mend()
        with ExitStack() as stack:
            # A permission to connect may be younger than this call, and takes seconds to arrive.
            session = self.patience.until(lambda: stack.enter_context(self.session()), (LoginRefused,))
            wrong = self._deviations(session)
        if wrong:
            raise RefusedError(
                f"administrator {self.name} of {self.event.server} {', '.join(wrong)}, which the master "
                "cannot change; drop the role or choose another name"
            )

    def _mend(self) -> None:
        with ExitStack() as stack:
            login, session = self.patience.until(
                lambda: self._master_session(stack), (SecretNotReadableYet, LoginRefused)
            )
            for step in administrator_steps(self.name, self.event.major, "rds"):
                self.progress.run(step, session, login)
            self.progress.run(may_make_record_step(self.name), session, login)

    def _master_session(self, stack: ExitStack) -> tuple[str, Session]:
        # Read anew for each attempt: the password may just have been rotated.
        master = read_master(self.event.master_secret_arn, self.event.region)
        if master.username == self.name:
            raise RefusedError(
                f"administrator {self.name} is the master user of {self.event.server}: rds_iam would lock "
                "its password out; choose another name"
            )
        session = self._server().session(master.username, master.password)
        return master.username, stack.enter_context(session)

    def _deviations(self, session: Session) -> list[str]:
        wrong = [what for (what,) in session.run(administrator_deviations(self.name, self.event.major))]
        if not session.has_row(may_make_record_step(self.name).unless or ""):
            wrong.append("may not make the schema of its record")
        return wrong

    def _server(self) -> Server:
        return Server(host=self.event.host, port=self.event.port, ca_pem=self.event.server_ca_pem)
