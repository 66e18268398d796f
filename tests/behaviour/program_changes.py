"""Faults of the program that no settings can produce, put in when the module with the fault is imported.

Every interpreter below `up` imports this module, so it imports little.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "PASSWORDLESS_POSTGRES_TEST_CHANGE"
HOOK = Path(__file__).parent / "import_hook"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one module.

    Attributes:
        module: Its name.
        apply: Changes the module right after it has run, before anybody has imported a name from it.
    """

    module: str
    apply: Callable[[ModuleType], None]


def _appended(file: str, text: str) -> Callable[[ModuleType], None]:
    """Append a text to one of the server's rendered files."""

    def apply(module: Any) -> None:
        rendered = module.server_files

        def server_files(*positional: Any, **named: Any) -> dict[str, str]:
            files = dict(rendered(*positional, **named))
            return {**files, file: files[file] + text}

        module.server_files = server_files

    return apply


def _foreign_key(module: Any) -> None:
    """Give the server a private key that its certificate was not issued for."""
    import pulumi
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    given = module.IdentitySecretArgs
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def args(**named: Any) -> Any:
        if named["description"].startswith("Certificate and key of the PostgreSQL server"):
            named["private_key_pem"] = pulumi.Output.secret(key.decode())
        return given(**named)

    module.IdentitySecretArgs = args


CHANGES = {
    "an hba line with trust": Change(
        module="components.self_managed.server_files",
        apply=_appended("pg_hba.conf", "host all all 0.0.0.0/0 trust\n"),
    ),
    "a bad setting": Change(
        module="components.self_managed.server_files",
        apply=_appended("postgresql.conf", "work_mem = 'plenty'\n"),
    ),
    "a key that does not match": Change(module="components.pki.identity_secret", apply=_foreign_key),
}


class _Finder(MetaPathFinder):
    """Finds the module as everybody does, and changes it once it has run."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._change.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        loader: Any = spec.loader
        run = loader.exec_module

        def run_and_change(module: ModuleType) -> None:
            run(module)
            self._change.apply(module)

        loader.exec_module = run_and_change
        return spec


def install(name: str) -> None:
    """Let the import of the module make the change."""
    sys.meta_path.insert(0, _Finder(CHANGES[name]))
