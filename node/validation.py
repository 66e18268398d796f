"""Every check of a desired state that needs no server; all problems are reported together."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from node import certificate
from node.desired_state import Manifest
from postgres import extensions
from postgres.access import MACHINE_MAP, ident_mappings
from postgres.declaration import Declaration, DeclarationError, declaration_problems
from postgres.hba_analysis import analyse_hba
from postgres.hba_parser import HbaSyntaxError, ParsedRule, parse_hba
from postgres.hold import hold_problems
from postgres.ident import IdentMapping, IdentSyntaxError, parse_ident, render_ident
from postgres.ident_analysis import map_problems
from postgres.identifiers import SUPERUSER
from postgres.postgresql_conf import ConfigurationSyntaxError, parse_postgresql_conf
from postgres.server_settings import configuration_problems
from postgres.tls_groups import OPENSSL_WITH_HYBRIDS, default_groups, lacking_in_openssl
from postgres.versions import SUPPORTED_MAJORS
from runtime.errors import RefusedError
from runtime.identity_secret import IdentityDocument

FILES = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "roles.json", "client-ca.crt")


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """A valid desired state."""

    manifest: Manifest
    declaration: Declaration
    identity: IdentityDocument
    contents: Mapping[str, bytes] = field(repr=False)
    """The program's files by name, without what the machine adds."""

    def generation_files(self, server_user: str) -> dict[str, bytes]:
        """All files of the generation; `server_user` is the OS user that peer authentication knows."""
        mappings = [
            *parse_ident(self.contents["pg_ident.conf"].decode(), self.manifest.major),
            *(
                IdentMapping(map_name=MACHINE_MAP, system_user=server_user, database_user=role)
                for role in (SUPERUSER, self.declaration.administrator)
            ),
        ]
        return {
            **self.contents,
            "pg_ident.conf": render_ident(mappings, self.manifest.major).encode(),
            "server.crt": self.identity.certificate.encode(),
            "server.key": self.identity.private_key.encode(),
        }

    def packages(self) -> list[str]:
        """Debian's packages of the declared extensions and of the libraries that are preloaded."""
        settings = parse_postgresql_conf(self.contents["postgresql.conf"].decode())
        names = (name for database in self.declaration.databases for name in database.extensions)
        return extensions.packages(self.manifest.major, names, extensions.libraries(settings))

    def logins(self) -> tuple[tuple[str, str], ...]:
        """One declared role with one of its databases, for the login without TLS; empty if there is none."""
        pairs = [(role.name, role.databases[0]) for role in self.declaration.roles if role.databases]
        return tuple(pairs[:1])


def validated(
    *,
    manifest: Manifest,
    contents: Mapping[str, bytes],
    identity: str,
    now: datetime.datetime,
    openssl: tuple[int, ...] = ssl.OPENSSL_VERSION_INFO,
) -> DesiredState:
    """The desired state, if it is valid. `identity` is the SecretString, `openssl` the machine's version.

    Raises:
        RefusedError: with every problem, none of which quotes the secret.
    """
    if manifest.major not in SUPPORTED_MAJORS:
        raise RefusedError(f"major: {manifest.major} is not supported; choose one of {SUPPORTED_MAJORS}")
    lacking = sorted(set(FILES) - set(contents))
    unknown = sorted(set(contents) - set(FILES))
    if lacking or unknown:
        raise RefusedError(
            *(
                [f"manifest: the file {name} is missing" for name in lacking]
                + [f"manifest: the file {name} is unknown; allowed: {', '.join(FILES)}" for name in unknown]
            )
        )
    problems: list[str] = []
    texts: dict[str, str] = {}
    for name in FILES:
        try:
            texts[name] = contents[name].decode()
        except UnicodeDecodeError:
            problems.append(f"{name} is not UTF-8")
    if problems:
        raise RefusedError(*problems)
    problems += text_problems(texts, manifest.major)
    problems += _groups_problems(texts["postgresql.conf"], openssl)
    parsed, found = _identity(identity, now)
    problems += found
    problems += certificate.authorities_problems(contents["client-ca.crt"], now)
    if manifest.hold is not None:
        until = manifest.hold.until
        problems += [f"hold: {until} {problem}" for problem in hold_problems(until, now)]
    if problems or parsed is None:
        raise RefusedError(*problems)
    declaration = Declaration.from_json(texts["roles.json"])
    return DesiredState(manifest=manifest, declaration=declaration, identity=parsed, contents=dict(contents))


def text_problems(texts: Mapping[str, str], major: int) -> list[str]:
    """Why a machine would refuse the files of `FILES` that are made of settings alone."""
    declaration, problems = _declaration(texts["roles.json"], major)
    return [
        *_settings_problems(texts["postgresql.conf"], major),
        *_login_problems(texts["pg_hba.conf"], texts["pg_ident.conf"], declaration, major),
        *problems,
    ]


def _settings_problems(text: str, major: int) -> list[str]:
    try:
        settings = parse_postgresql_conf(text)
    except ConfigurationSyntaxError as error:
        return [f"postgresql.conf: {error}"]
    return [f"postgresql.conf: {problem}" for problem in configuration_problems(major, settings)]


def _groups_problems(text: str, openssl: tuple[int, ...]) -> list[str]:
    """Groups with which the server would not start: it and this program use the machine's OpenSSL."""
    try:
        groups = parse_postgresql_conf(text).get("ssl_groups", "").split(":")
    except ConfigurationSyntaxError:
        return []
    lacking = lacking_in_openssl(groups, openssl)
    if not lacking:
        return []
    needed, found = (".".join(map(str, version[:3])) for version in (OPENSSL_WITH_HYBRIDS, openssl))
    remedy = f"use Debian 13, or set selfManaged.tlsGroups to {', '.join(default_groups(openssl))}"
    text = f"{', '.join(lacking)}, which need OpenSSL {needed}, and this machine has {found}"
    return [f"postgresql.conf: ssl_groups has {text}; {remedy}"]


def _login_problems(hba: str, ident: str, declaration: Declaration | None, major: int) -> list[str]:
    problems: list[str] = []
    rules: list[ParsedRule] = []
    mappings: list[IdentMapping] = []
    try:
        rules = parse_hba(hba, major)
    except HbaSyntaxError as error:
        problems += error.problems
    try:
        mappings = parse_ident(ident, major)
    except IdentSyntaxError as error:
        problems += error.problems
    if problems:
        return problems
    errors = [finding.message for finding in analyse_hba(rules, major) if finding.severity == "error"]
    return errors + map_problems(mappings, rules, ident_mappings(declaration) if declaration else ())


def _declaration(text: str, major: int) -> tuple[Declaration | None, list[str]]:
    try:
        declaration = Declaration.from_json(text)
    except DeclarationError as error:
        return None, [f"roles.json: {error}"]
    return declaration, [f"roles.json: {problem}" for problem in declaration_problems(declaration, major)]


def _identity(secret: str, now: datetime.datetime) -> tuple[IdentityDocument | None, list[str]]:
    try:
        identity = IdentityDocument.parse(secret)
    except ValueError as error:
        return None, [f"server identity: the secret is wrong: {error}"]
    return identity, certificate.identity_problems(identity, now)
