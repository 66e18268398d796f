"""Extensions that may be declared: what brings their files, what must be preloaded, and who creates them.

Packages, control files and libraries are those of Debian 13 (looked at with apt on 2026-11-30); the
PostgreSQL project builds the same packages for the other majors. What RDS has follows "Extension versions for
Amazon RDS for PostgreSQL" of its release notes for the majors 15 to 18, which was not at hand line by line:
RDS has the last word, and refuses by name what it lacks.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Platform = Literal["server", "rds"]
"""A self-managed server, which has a superuser for us, or RDS, which has none."""

PRELOAD = "shared_preload_libraries"
RDS_PRELOADED = "pg_stat_statements"
"""What RDS preloads by default, and would lose with a list that does not name it."""
CRON_DATABASE = "cron.database_name"


@dataclass(frozen=True, kw_only=True)
class Extension:
    """One extension.

    Attributes:
        name: Its name.
        trusted: Whether a database's owner may create it (`trusted = true` in its control file).
        package: What follows `postgresql-MAJOR-` in the name of its package; empty for contrib, which is part
            of the server's own package.
        fixed_schema: Whether its control file names the schema.
        requires: Extensions that it needs.
        preload: The library that must be preloaded for it; the declaration alone has it preloaded.
        shown_by: A setting that pg_settings has once the library is loaded.
        optional: A library of its package that may be preloaded too.
        settings: Further settings of a self-managed server that it cannot work without.
        platforms: Where it exists.
    """

    name: str
    trusted: bool = False
    package: str = ""
    fixed_schema: bool = False
    requires: tuple[str, ...] = ()
    preload: str = ""
    shown_by: str = ""
    optional: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    platforms: tuple[Platform, ...] = ("server", "rds")

    def package_of(self, major: int) -> str:
        """The package that has its files for this major, empty if the server's own has them."""
        return f"postgresql-{major}-{self.package}" if self.package else ""


_TRUSTED = """
btree_gin btree_gist citext cube dict_int fuzzystrmatch hstore intarray isn lo ltree pg_trgm pgcrypto
seg tablefunc tcn tsm_system_rows tsm_system_time unaccent uuid-ossp
""".split()  # noqa: SIM905 - a list of words is easier to read than one of strings
_CONTRIB = """
amcheck bloom pg_buffercache pg_freespacemap pg_prewarm pg_visibility pg_walinspect pgrowlocks pgstattuple
postgres_fdw sslinfo
""".split()  # noqa: SIM905 - as above
_SERVER: tuple[Platform, ...] = ("server",)
_RDS: tuple[Platform, ...] = ("rds",)
_POSTGIS = "postgis-3"

_ALL = (
    *(Extension(name=name, trusted=True) for name in _TRUSTED),
    Extension(name="earthdistance", requires=("cube",)),
    *(Extension(name=name) for name in _CONTRIB),
    Extension(name="pg_stat_statements", preload="pg_stat_statements", shown_by="pg_stat_statements.max"),
    Extension(name="address_standardizer", package=_POSTGIS),
    Extension(name="address_standardizer_data_us", package=_POSTGIS),
    Extension(name="hll", package="hll"),
    Extension(name="hypopg", package="hypopg"),
    Extension(name="ip4r", package="ip4r"),
    Extension(name="orafce", package="orafce"),
    Extension(
        name="pg_cron",
        package="cron",
        fixed_schema=True,
        preload="pg_cron",
        shown_by=CRON_DATABASE,
        # It would log in over TCP, without a certificate.
        settings=(("cron.use_background_workers", "on"),),
    ),
    Extension(
        name="pg_hint_plan",
        package="pg-hint-plan",
        fixed_schema=True,
        preload="pg_hint_plan",
        shown_by="pg_hint_plan.enable_hint",
    ),
    Extension(name="pg_partman", package="partman", optional="pg_partman_bgw"),
    Extension(name="pg_repack", package="repack"),
    Extension(
        name="pg_squeeze",
        package="squeeze",
        fixed_schema=True,
        preload="pg_squeeze",
        shown_by="squeeze.max_xlock_time",
        # It reads the changes of a table by logical decoding.
        settings=(("wal_level", "logical"),),
        platforms=_SERVER,
    ),
    Extension(name="pgaudit", package="pgaudit", preload="pgaudit", shown_by="pgaudit.log"),
    Extension(name="pgrouting", package="pgrouting", requires=("postgis",)),
    Extension(name="plpgsql_check", package="plpgsql-check", platforms=_SERVER),
    Extension(name="postgis", package=_POSTGIS),
    Extension(name="postgis_raster", package=_POSTGIS, requires=("postgis",)),
    Extension(name="postgis_sfcgal", package=_POSTGIS, requires=("postgis",), platforms=_SERVER),
    Extension(
        name="postgis_tiger_geocoder",
        package=_POSTGIS,
        fixed_schema=True,
        requires=("postgis", "fuzzystrmatch"),
    ),
    Extension(name="postgis_topology", package=_POSTGIS, fixed_schema=True, requires=("postgis",)),
    Extension(name="prefix", package="prefix"),
    Extension(name="roaringbitmap", package="roaringbitmap", platforms=_SERVER),
    Extension(name="rum", package="rum", platforms=_SERVER),
    Extension(name="semver", package="semver", platforms=_SERVER),
    Extension(name="tdigest", package="tdigest", platforms=_SERVER),
    Extension(name="unit", package="unit", platforms=_SERVER),
    Extension(name="vector", package="pgvector"),
    Extension(name="aws_commons", platforms=_RDS),
    Extension(name="aws_lambda", requires=("aws_commons",), platforms=_RDS),
    Extension(name="aws_s3", requires=("aws_commons",), platforms=_RDS),
)

EXTENSIONS: Mapping[str, Extension] = MappingProxyType(
    {extension.name: extension for extension in sorted(_ALL, key=lambda extension: extension.name)}
)
"""By name, in alphabetical order."""

CONTRIB_LIBRARIES = ("auth_delay", "auto_explain", "passwordcheck", "pg_prewarm", "pg_stat_statements")
"""Libraries of the server's own package that may be preloaded."""

_PACKAGED_LIBRARIES: Mapping[str, Extension] = MappingProxyType(
    {
        library: extension
        for extension in EXTENSIONS.values()
        for library in (extension.preload, extension.optional)
        if library and extension.package and "server" in extension.platforms
    }
)

PRELOADABLE_LIBRARIES = (*CONTRIB_LIBRARIES, *sorted(_PACKAGED_LIBRARIES))
"""Libraries that `shared_preload_libraries` of a self-managed server may name."""


def extension_problems(name: str, platform: Platform) -> list[str]:
    """Why there is no extension `name` on the platform; empty when there is one."""
    found = EXTENSIONS.get(name)
    if found is not None and platform in found.platforms:
        return []
    here = [each.name for each in EXTENSIONS.values() if platform in each.platforms]
    where = "RDS has" if platform == "rds" else "a server of our own has"
    if found is not None:
        other = "a server of our own" if platform == "rds" else "RDS"
        text = f"is none that {where}, only {other}; drop it"
    elif near := difflib.get_close_matches(name, here, n=1):
        text = f"is none that {where}; did you mean {near[0]!r}?"
    else:
        text = f"is none that {where}; there are {', '.join(here)}"
    return [f"extension {name!r} {text}"]


def with_required(names: Iterable[str]) -> list[str]:
    """The extensions and those that they need, each after what it needs, otherwise in alphabetical order."""
    found: dict[str, None] = {}

    def add(name: str) -> None:
        for required in sorted(EXTENSIONS[name].requires) if name in EXTENSIONS else ():
            add(required)
        found.setdefault(name)

    for name in sorted(set(names)):
        add(name)
    return list(found)


def delegated(names: Iterable[str]) -> list[str]:
    """Those that a database's owner may create on RDS as a member of rds_extension only."""
    return [name for name in sorted(with_required(names)) if not EXTENSIONS[name].trusted]


def _known(names: Iterable[str]) -> list[Extension]:
    return [EXTENSIONS[name] for name in with_required(names) if name in EXTENSIONS]


def packages(major: int, names: Iterable[str], libraries: Iterable[str]) -> list[str]:
    """The packages that bring extensions and preloaded libraries to a server of this major."""
    wanted = _known(names)
    wanted += [_PACKAGED_LIBRARIES[library] for library in libraries if library in _PACKAGED_LIBRARIES]
    return sorted({package for extension in wanted if (package := extension.package_of(major))})


def libraries(settings: Mapping[str, str]) -> list[str]:
    """What `shared_preload_libraries` names."""
    return [name.strip() for name in settings.get(PRELOAD, "").split(",") if name.strip()]


def implied_settings(
    databases: Mapping[str, Iterable[str]], given: Mapping[str, str], platform: Platform
) -> dict[str, str]:
    """Settings that the extensions of the databases ask for, beside or instead of those that are `given`.

    Args:
        databases: Extensions of each database.
        given: Settings that a user gave, which are kept; preloaded libraries are added to.
        platform: Where the server is.
    """
    wanted = _known(name for names in databases.values() for name in names)
    implied: dict[str, str] = {}
    preloaded = libraries(given)
    if platform == "rds" and PRELOAD not in given:
        preloaded = [RDS_PRELOADED]
    lacking = [extension.preload for extension in wanted if extension.preload]
    if lacking := [library for library in lacking if library not in preloaded]:
        implied[PRELOAD] = ",".join([*preloaded, *lacking])
    if cron := cron_databases(databases):
        implied[CRON_DATABASE] = cron[0]
    if platform == "server":
        implied |= dict(setting for extension in wanted for setting in extension.settings)
    return {name: value for name, value in implied.items() if name == PRELOAD or name not in given}


def cron_databases(databases: Mapping[str, Iterable[str]]) -> list[str]:
    """The databases with pg_cron, of which a server can have one only."""
    return [database for database, names in databases.items() if "pg_cron" in names]


def cron_problems(databases: Mapping[str, Iterable[str]], given: Mapping[str, str]) -> list[str]:
    """Why pg_cron could not be created in the databases that declare it; empty when it can."""
    declared = cron_databases(databases)
    if len(declared) > 1:
        names = " and ".join(map(repr, declared))
        text = (
            "and a server has it in one database only; its jobs may run in others (cron.schedule_in_database)"
        )
        return [f"extension 'pg_cron' is declared for {names}, {text}"]
    named = given.get(CRON_DATABASE)
    if declared and named is not None and named != declared[0]:
        return [
            f"{CRON_DATABASE} = {named!r} is not {declared[0]!r}, which declares pg_cron; drop the setting"
        ]
    return []
