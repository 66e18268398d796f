"""Which rules of pg_hba.conf decide before others."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from postgres.hba_rule import ConnectionType, Rule

_ALL_REMOTE = frozenset({(False, False), (True, False), (False, True)})
"""Remote transports as (TLS, GSS encryption)."""
_TRANSPORTS: dict[ConnectionType, frozenset[tuple[bool, bool]]] = {
    ConnectionType.HOST: _ALL_REMOTE,
    ConnectionType.HOSTSSL: frozenset(pair for pair in _ALL_REMOTE if pair[0]),
    ConnectionType.HOSTNOSSL: frozenset(pair for pair in _ALL_REMOTE if not pair[0]),
    ConnectionType.HOSTGSSENC: frozenset(pair for pair in _ALL_REMOTE if pair[1]),
    ConnectionType.HOSTNOGSSENC: frozenset(pair for pair in _ALL_REMOTE if not pair[1]),
}


def covers(wide: Rule, narrow: Rule) -> bool:
    """Whether every connection that `narrow` matches is certainly matched by `wide`."""
    return _covers_names(wide, narrow) and _covers_address(wide.address, narrow.address)


def _covers_names(wide: Rule, narrow: Rule) -> bool:
    return (
        _covers_type(wide.type, narrow.type)
        and all(_covers_database(wide.databases, entry) for entry in narrow.databases)
        and all(_covers_user(wide.users, entry) for entry in narrow.users)
    )


def _covers_type(wide: ConnectionType, narrow: ConnectionType) -> bool:
    if ConnectionType.LOCAL in (wide, narrow):
        return wide is narrow
    return _TRANSPORTS[narrow] <= _TRANSPORTS[wide]


def _covers_database(wide: Sequence[str], narrow: str) -> bool:
    if narrow == "replication":
        return "replication" in wide
    return narrow in wide or "all" in wide


def _covers_user(wide: Sequence[str], narrow: str) -> bool:
    return narrow in wide or "all" in wide


def _covers_address(wide: str | None, narrow: str | None) -> bool:
    if wide is None or narrow is None or wide in ("all", narrow):
        return True
    if "/" not in wide or "/" not in narrow:
        return False
    wide_network = ipaddress.ip_network(wide, strict=False)
    narrow_network = ipaddress.ip_network(narrow, strict=False)
    if isinstance(wide_network, ipaddress.IPv4Network) and isinstance(narrow_network, ipaddress.IPv4Network):
        return narrow_network.subnet_of(wide_network)
    if isinstance(wide_network, ipaddress.IPv6Network) and isinstance(narrow_network, ipaddress.IPv6Network):
        return narrow_network.subnet_of(wide_network)
    return False


def first_covering(rules: Sequence[Rule]) -> list[int | None]:
    """For each rule the position of the first one before it that covers it, None where none does.

    Thousands of rules are no pairs of thousands: a rule is compared with the kinds of rule that name one
    of its users or databases, and in each kind its network is looked up.
    """
    kinds = _Kinds()
    return [kinds.added(position, rule) for position, rule in enumerate(rules)]


@dataclass
class _Kind:
    """Rules that differ in their addresses alone.

    Attributes:
        example: One of them.
        first: Position of the first one.
        addresses: The first position of each address, as it is written and as a network.
        lengths: IP versions and prefix lengths of the networks.
    """

    example: Rule
    first: int
    addresses: dict[object, int] = field(default_factory=dict)
    lengths: set[tuple[int, int]] = field(default_factory=set)

    def first_with(self, address: str | None) -> int | None:
        """Position of the first rule whose address covers this one."""
        if address is None:
            return self.first
        found = (self.addresses.get(key) for key in (None, "all", address))
        within = (self.addresses.get(key) for key in _networks_around(address, self.lengths))
        return min((position for position in (*found, *within) if position is not None), default=None)

    def add(self, position: int, address: str | None) -> None:
        """Add a rule of this kind."""
        self.addresses.setdefault(address, position)
        if address is not None and "/" in address:
            network = ipaddress.ip_network(address, strict=False)
            self.lengths.add((network.version, network.prefixlen))
            self.addresses.setdefault(network, position)


def _networks_around(address: str, lengths: set[tuple[int, int]]) -> Iterator[object]:
    if "/" not in address:
        return
    network = ipaddress.ip_network(address, strict=False)
    for version, length in lengths:
        if version == network.version and length <= network.prefixlen:
            yield network.supernet(new_prefix=length)


@dataclass
class _Kinds:
    """The kinds of the rules so far, by each user and by each database that they name."""

    known: dict[object, _Kind] = field(default_factory=dict)
    by_user: dict[str, list[_Kind]] = field(default_factory=dict)
    by_database: dict[str, list[_Kind]] = field(default_factory=dict)

    def added(self, position: int, rule: Rule) -> int | None:
        """The first of the rules so far that covers this one, which is added."""
        found = (
            kind.first_with(rule.address)
            for kind in self._candidates(rule)
            if _covers_names(kind.example, rule)
        )
        earlier = min((each for each in found if each is not None), default=None)
        self._kind(position, rule).add(position, rule.address)
        return earlier

    def _candidates(self, rule: Rule) -> Iterator[_Kind]:
        """Every kind that may cover the rule: those that cover its rarest user, or its rarest database."""
        named = [_naming(self.by_user, user) for user in rule.users]
        named += [_naming(self.by_database, database) for database in rule.databases]
        return itertools.chain(*min(named, key=lambda lists: sum(map(len, lists))))

    def _kind(self, position: int, rule: Rule) -> _Kind:
        key = (rule.type, frozenset(rule.users), frozenset(rule.databases))
        kind = self.known.get(key)
        if kind is None:
            kind = self.known[key] = _Kind(example=rule, first=position)
            for user in set(rule.users):
                self.by_user.setdefault(user, []).append(kind)
            for database in set(rule.databases):
                self.by_database.setdefault(database, []).append(kind)
        return kind


def _naming(kinds: dict[str, list[_Kind]], name: str) -> list[list[_Kind]]:
    return [kinds.get(each, []) for each in {name, "all"}]
