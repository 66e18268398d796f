"""What lies in one database, by a name of its own: extensions and schemas."""

from __future__ import annotations

from abc import abstractmethod

from emulator.core.resource_type import Properties
from emulator.postgresql.connection import Server, Session
from emulator.postgresql.postgresql_type import PostgresqlType


class DatabaseObjectType(PostgresqlType):
    """Something in a database (default: the provider's); its id is `<database>.<name>`."""

    autonamed = True

    @abstractmethod
    def make_in(self, session: Session, database: str, wanted: Properties) -> None:
        """Creates it, in a session with its database."""

    @abstractmethod
    def find_in(self, session: Session, name: str) -> Properties | None:
        """What the database's catalogue says of it, None when it is not there."""

    @abstractmethod
    def alter_in(self, session: Session, old: Properties, wanted: Properties) -> None:
        """Changes what differs."""

    @abstractmethod
    def drop_in(self, session: Session, name: str, state: Properties) -> None:
        """Drops it."""

    def make(self, server: Server, wanted: Properties) -> tuple[str, Properties]:
        database = wanted["database"] or server.arguments.database
        with server.session(database) as session:
            self.make_in(session, database, wanted)
        return f"{database}.{wanted['name']}", {**wanted, "database": database}

    def find(self, server: Server, resource_id: str, state: Properties) -> Properties | None:
        database, name = resource_id.split(".", 1)
        with server.session() as session:
            if not session.database_exists(database):
                return None
        with server.session(database) as session:
            found = self.find_in(session, name)
        return None if found is None else {**state, "name": name, "database": database, **found}

    def alter(self, server: Server, old: Properties, wanted: Properties) -> tuple[str, Properties]:
        with server.session(wanted["database"]) as session:
            self.alter_in(session, old, wanted)
        return f"{wanted['database']}.{wanted['name']}", wanted

    def drop(self, server: Server, resource_id: str, state: Properties) -> None:
        database, name = resource_id.split(".", 1)
        with server.session(database) as session:
            self.drop_in(session, name, state)
