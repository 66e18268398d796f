"""postgresql.conf, wherever a resource carries it: TLS, certificates, passwords, connection logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from policy.floor import ACCEPTED_PROTOCOLS, is_accepted, is_older
from policy.resources import Resource, Stack
from policy.rule import Area, Outcome, Problem, ResourceCheck, Rule, Severity, StackCheck, Unclear
from policy.rules.tls_provider import CLIENT_DAYS, client_lifetimes
from policy.text.carriers import RUNNING, SOURCES, TYPES
from policy.text.server_commands import Edit
from policy.text.server_files import ConfigurationFile, ServerFiles, carried, shown
from policy.values import Value
from postgres.hba_rule import ConnectionType

_DOCUMENTATION = "https://www.postgresql.org/docs/current"
_CONNECTIONS = f"{_DOCUMENTATION}/runtime-config-connection.html"
_TCP = f"{_DOCUMENTATION}/ssl-tcp.html"
_DEFAULT_MINIMUM = "TLSv1.2"
"""Since PostgreSQL 13 (its documentation, "Connections and Authentication")."""
_ON = ("on", "true", "yes", "1", "tru", "tr", "t", "ye", "y")
_OFF = ("", "off", "false", "no", "0")
_GOOD_SUITE = re.compile(
    r"(?:TLS_)?(?:EC)?DHE[-_+].*(?:GCM|CHACHA20|CCM).*|TLS_(?:AES_(?:128|256)_GCM|CHACHA20)_\w+|E?ECDH\+(?:AESGCM|CHACHA20)",
    re.IGNORECASE,
)
_GROUPS = frozenset(
    [
        "x25519",
        "x448",
        "prime256v1",
        "secp384r1",
        "secp521r1",
        "p-256",
        "p-384",
        "p-521",
        "x25519mlkem768",
        "secp256r1mlkem768",
        "secp384r1mlkem1024",
    ]
)
_TLS13_SUITES = frozenset(
    ("tls_aes_256_gcm_sha384", "tls_aes_128_gcm_sha256", "tls_chacha20_poly1305_sha256")
)
_CHMOD = re.compile(
    r"\bchmod\s+(?:-\S+\s+)*(?P<mode>[0-7]{3,4}|[ugoa,]*[+=][rwxX]+)\s+(?P<files>[^\n;&|]*\.key\b)"
)
_KEY_MODES = ("600", "0600", "640", "0640", "400", "0400", "440", "0440")
_INSTALLS = re.compile(
    r"(?:apt(?:-get)?|dnf|yum|microdnf)\b[^\n]*\binstall\b[^\n]*\bpostgresql(?:-?[0-9]+)?(?:-server)?\b"
    r"|\bpg_createcluster\b|\binitdb\b|\bpostgresql-setup\b"
)

_VARIABLE = re.compile(r"\$[\w{(]|\{\{|<%")

SettingCheck = Callable[[ConfigurationFile], Iterator[tuple[str, str]]]


def _in_files(check: SettingCheck) -> ResourceCheck:
    def of_resource(resource: Resource) -> Iterator[Outcome]:
        files = carried(resource)
        for file in files.configuration:
            for name, expected in check(file):
                if file.is_partial and name not in file.settings:
                    continue
                setting = Value(path=name, raw=file.settings.get(name), secret=file.text.secret)
                said = f"{name} is {setting.shown}" if setting.given else f"{name} is missing"
                yield Problem(at=file.place_of(name), reason=f"{said}; {expected}")
            for include in file.includes:
                place = file.text.place(include.number)
                yield Unclear(why=f"{place} includes another file, which cannot be checked here")
        yield from (Unclear(why=why) for why in files.unread)
        files.require_known()

    return of_resource


def _tls_is_on(file: ConfigurationFile) -> Iterator[tuple[str, str]]:
    if file.settings.get("ssl", "off").lower() not in _ON:
        yield "ssl", "expected on"
    minimum = file.settings.get("ssl_min_protocol_version", _DEFAULT_MINIMUM)
    if not is_accepted(minimum):
        yield "ssl_min_protocol_version", f"expected {' or '.join(ACCEPTED_PROTOCOLS)}"
        return
    maximum = file.settings.get("ssl_max_protocol_version", "")
    if maximum and is_older(maximum, minimum):
        yield "ssl_max_protocol_version", "expected none, since it is below the minimum"


def _states_the_minimum(resource: Resource) -> Iterator[Outcome]:
    for file in carried(resource).configuration:
        if "ssl_min_protocol_version" not in file.settings and not file.is_partial:
            yield Problem(
                at=file.text.place(),
                reason=f"ssl_min_protocol_version is missing; the default is {_DEFAULT_MINIMUM}, now",
                severity=Severity.LOW,
            )


def _an_authority(file: ConfigurationFile) -> Iterator[tuple[str, str]]:
    authority = file.settings.get("ssl_ca_file", "")
    if authority and authority == file.settings.get("ssl_cert_file", "server.crt"):
        yield "ssl_ca_file", "expected the authority that signs clients, not the server's certificate"


def _revocation(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    """A list is needed where a certificate lives so long that waiting for its end is no answer to a theft."""
    files = carried(resource)
    for file in files.configuration:
        settings = file.settings
        if not settings.get("ssl_ca_file") or settings.get("ssl_crl_file") or settings.get("ssl_crl_dir"):
            continue
        at = file.place_of("ssl_ca_file")
        lifetimes = client_lifetimes(stack)
        if not lifetimes:
            reason = f"expected ssl_crl_file, unless every client certificate ends within {CLIENT_DAYS} days"
            yield Problem(at=at, reason=reason, severity=Severity.LOW)
        for name, days in lifetimes.items():
            if days > CLIENT_DAYS:
                reason = f"expected ssl_crl_file, since the client certificate {name} lives {days:g} days"
                yield Problem(at=at, reason=reason)
    files.require_known()


def _suites(file: ConfigurationFile) -> Iterator[tuple[str, str]]:
    settings = file.settings
    suites = [each for each in re.split(r"[:, ]+", settings.get("ssl_ciphers", "")) if each]
    if any(each[0] not in "!-@" and _GOOD_SUITE.fullmatch(each.lstrip("+")) is None for each in suites):
        yield "ssl_ciphers", "expected only strong cipher suites with forward secrecy"
    for name in ("ssl_groups", "ssl_ecdh_curve"):
        named = [each.strip().lower() for each in settings.get(name, "").split(":") if each.strip()]
        if any(each not in _GROUPS for each in named):
            yield name, "expected X25519, prime256v1, secp384r1 or a group with ML-KEM"
    suites = [
        each.strip().lower() for each in settings.get("ssl_tls13_ciphers", "").split(":") if each.strip()
    ]
    if any(each not in _TLS13_SUITES for each in suites):
        yield "ssl_tls13_ciphers", "expected TLS 1.3 cipher suites with a full-length authentication tag"


def _scram(file: ConfigurationFile) -> Iterator[tuple[str, str]]:
    if file.settings.get("password_encryption", "scram-sha-256").lower() != "scram-sha-256":
        yield "password_encryption", "expected scram-sha-256"


def _key_files(resource: Resource) -> Iterator[Outcome]:
    for text in carried(resource).texts:
        for match in _CHMOD.finditer(text.content):
            if match["mode"] not in _KEY_MODES:
                yield Problem(
                    at=text.place_of(match.start()),
                    reason=f"mode {match['mode']}; expected 0600, or 0640 with owner root and group postgres",
                )


def _logged(file: ConfigurationFile) -> Iterator[tuple[str, str]]:
    if file.settings.get("log_connections", "off").lower() in _OFF:
        yield "log_connections", "expected on"


def _is_readable(resource: Resource, stack: Stack) -> Iterator[Outcome]:
    own = carried(resource)
    for file in own.hba:
        lines = file.text.content.split("\n")
        for line in file.unreadable:
            place = file.text.place(line.number)
            if _VARIABLE.search(lines[line.number - 1]):
                yield Unclear(why=f"{place} has variables, so what it says cannot be read here")
            else:
                reason = f"PostgreSQL would refuse this line: {shown(file.text, line)}"
                yield Problem(at=place, reason=reason)
    sources = [each for each in stack.of_types(SOURCES) if each is not resource]
    for place, edit in own.edited:
        if not any(_is_fetched(edit, each) for each in sources):
            yield Unclear(why=f"{place}: {edit.by} changes {edit.file} into what cannot be read here")
    yield from _maps_are_known(own, sources)
    if resource.type in RUNNING:
        yield from _has_files(resource, own, sources)


def _maps_are_known(own: ServerFiles, sources: list[Resource]) -> Iterator[Outcome]:
    """Unclear for each rule for remote clients whose map no pg_ident.conf of the stack has."""
    mapped = [
        (file.text.place(each.line_number), name, "its map" if file.text.secret else f"the map {name}")
        for file in own.hba
        for each in file.rules
        if each.rule.type is not ConnectionType.LOCAL and (name := dict(each.rule.options).get("map"))
    ]
    if not mapped:
        return
    files = [file for each in (own, *map(carried, sources)) for file in each.ident]
    # Lines that cannot be parsed count: N06 reports them.
    known = {
        words[0].strip('"')
        for file in files
        for words in map(str.split, file.text.content.split("\n"))
        if words
    }
    for place, name, shown_name in mapped:
        if name not in known:
            yield Unclear(why=f"{place}: no pg_ident.conf that can be read here has {shown_name}")


def _is_fetched(edit: Edit, source: Resource) -> bool:
    """Whether a command names a file of the stack, which is judged where it is stored."""
    files = carried(source)
    return any(
        each.text.name and each.text.name in edit.command
        for each in (*files.hba, *files.configuration, *files.ident)
    )


def _has_files(resource: Resource, own: ServerFiles, sources: list[Resource]) -> Iterator[Outcome]:
    """Whether a server that a machine installs has its files from the machine's own texts, or by name.

    What other machines have says nothing of this one.
    """
    installed = next(
        (text.place_of(match.start()) for text in own.texts if (match := _INSTALLS.search(text.content))),
        None,
    )
    if installed is None:
        return
    missing: list[str] = []
    for name, kept in _KINDS.items():
        word = "hba" if "hba" in name else "postgresql."
        if kept(own) or any(word in each.edit.file.lower() for each in own.edited):
            continue
        holding = [each for each in sources if kept(carried(each))]
        if not holding:
            missing.append(name)
        elif not any(_are_linked(resource, own, each) for each in holding):
            where = ", ".join(each.name for each in holding)
            yield Unclear(
                why=f"{installed} installs PostgreSQL, and nothing there names {where} with its {name}"
            )
    if missing:
        yield Problem(
            at=installed,
            reason=f"it installs PostgreSQL, but no resource that it names carries {' or '.join(missing)}",
        )


_KINDS: Mapping[str, Callable[[ServerFiles], bool]] = {
    "pg_hba.conf": lambda files: bool(files.hba),
    "postgresql.conf": lambda files: any(not each.is_partial for each in files.configuration),
}


def _are_linked(machine: Resource, own: ServerFiles, source: Resource) -> bool:
    """Whether a machine names a source of files, or both come from the same resources."""
    of_machine, of_source = _dependencies(machine), _dependencies(source)
    if source.urn in of_machine or machine.urn in of_source or of_machine & of_source:
        return True
    values = (source[each] for each in ("key", "name", "bucket"))
    names = [each.text() for each in values if each.is_known and each.given]
    pattern = re.compile("|".join(rf"(?<![\w.-]){re.escape(each)}(?![\w.-])" for each in names))
    return bool(names) and any(pattern.search(text.content) for text in own.texts)


def _dependencies(resource: Resource) -> set[str]:
    return {urn for urns in resource.dependencies.values() for urn in urns}


def _rule(
    number: str,
    title: str,
    severity: Severity,
    *checks: ResourceCheck,
    stack_checks: tuple[StackCheck, ...] = (),
    area: Area = Area.TLS,
    why: str,
    fix: str,
    link: str = _CONNECTIONS,
) -> Rule:
    return Rule(
        id=f"PGTLS-{number}",
        title=title,
        area=area,
        severity=severity,
        types=TYPES,
        checks=checks,
        stack_checks=stack_checks,
        why=why,
        fix=fix,
        link=link,
    )


RULES = (
    _rule(
        "N09",
        "postgresql.conf turns TLS on, with a minimum of 1.2",
        Severity.CRITICAL,
        _in_files(_tls_is_on),
        _states_the_minimum,
        why="Without ssl, hostssl rules match nobody; without a minimum, the default applies.",
        fix="set ssl = on and ssl_min_protocol_version = 'TLSv1.3' or 'TLSv1.2', and no maximum",
    ),
    _rule(
        "N10",
        "ssl_ca_file is an authority, not the server's certificate",
        Severity.HIGH,
        _in_files(_an_authority),
        why="Otherwise whoever steals the server's key can sign client certificates.",
        fix="set ssl_ca_file to the certificate of the authority that signs clients",
        link=_TCP,
    ),
    _rule(
        "N11",
        "postgresql.conf sets a revocation list where client certificates live long",
        Severity.HIGH,
        stack_checks=(_revocation,),
        why="A stolen key could be used until its certificate expires.",
        fix=f"set ssl_crl_file or ssl_crl_dir, or sign certificates for {CLIENT_DAYS} days at most",
        link=_TCP,
    ),
    _rule(
        "N12",
        "postgresql.conf offers no weak cipher suites or groups",
        Severity.MEDIUM,
        _in_files(_suites),
        why="Weak suites can be broken; without forward secrecy, recorded traffic can be decrypted later.",
        fix="offer only ECDHE with GCM or ChaCha20, with X25519MLKEM768, X25519 or prime256v1",
    ),
    _rule(
        "N13",
        "Passwords are stored as SCRAM, and only the server can read its key",
        Severity.HIGH,
        _in_files(_scram),
        _key_files,
        area=Area.IDENTITY,
        why="md5 hashes can be replayed, and whoever can read the key can impersonate the server.",
        fix="set password_encryption = 'scram-sha-256'; set mode 0600 on the key",
        link=_TCP,
    ),
    _rule(
        "N14",
        "postgresql.conf logs connections",
        Severity.MEDIUM,
        _in_files(_logged),
        area=Area.IDENTITY,
        why="The connection log shows which client certificate was used.",
        fix="set log_connections = on",
        link=f"{_DOCUMENTATION}/runtime-config-logging.html",
    ),
    Rule(
        id="PGTLS-N90",
        title="The files that decide who can log in are part of the stack",
        area=Area.IDENTITY,
        severity=Severity.HIGH,
        types=TYPES,
        stack_checks=(_is_readable,),
        why="What is not in the stack cannot be checked.",
        fix="write complete pg_hba.conf and postgresql.conf files, in user data or in objects of the stack",
        link=f"{_DOCUMENTATION}/auth-pg-hba-conf.html",
    ),
)
