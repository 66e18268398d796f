"""Memberships that a non-superuser takes for the length of a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from emulator.postgresql.connection import Session


def is_member(session: Session, role: str, member: str) -> bool:
    """Whether `member` may SET ROLE to `role` by a direct membership."""
    query = (
        "SELECT 1 FROM pg_auth_members WHERE pg_get_userbyid(roleid) = %s AND pg_get_userbyid(member) = %s"
    )
    if session.connection.info.server_version >= 160000:
        return session.value(sql.SQL(query) + sql.SQL(" AND set_option"), role, member) is not None
    return session.value(query, role, member) is not None


def grant_membership(session: Session, role: str, member: str) -> bool:
    """Makes `member` a member of `role`; whether that was necessary."""
    if role == member or is_member(session, role, member):
        return False
    session.run(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member)))
    return True


def revoke_membership(session: Session, role: str, member: str) -> bool:
    """Ends a membership; whether there was one."""
    if role == member or not is_member(session, role, member):
        return False
    session.run(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), sql.Identifier(member)))
    return True


@contextmanager
def with_roles(session: Session, roles: Sequence[str]) -> Iterator[None]:
    """Makes the login a member of the roles until the block ends; a superuser needs none.

    Where one of the roles is a member of the login itself, that is suspended meanwhile, since PostgreSQL
    allows no circle. Superusers among the roles are left out: nobody else may become a member of them.
    """
    user = session.current_user
    if not roles or session.is_superuser(user):
        yield
        return
    granted: list[str] = []
    suspended: list[str] = []
    for role in roles:
        if session.is_superuser(role):
            continue
        if revoke_membership(session, user, role):
            suspended.append(role)
        if grant_membership(session, role, user):
            granted.append(role)
    yield
    for role in granted:
        revoke_membership(session, role, user)
    for role in suspended:
        if session.role_exists(role):
            grant_membership(session, user, role)
