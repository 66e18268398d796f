"""Which worker runs which files, and when: `make test` has several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

BEHAVIOUR = "tests/behaviour/test_"
# Files of one group run on one worker, since they share what takes long to set up. Whatever is in no
# group follows in the order of the folders, so that the run does not end with one worker at work.
GROUPS: dict[str, tuple[str, ...]] = {
    "servers": tuple(
        f"{BEHAVIOUR}{name}.py"
        for name in (
            "refusals",
            "authorisation",
            "secrecy",
            "database_roles",
            "drift",
            "rds_roles",
            "changes",
        )
    ),
    "all three topologies": tuple(
        f"{BEHAVIOUR}{name}.py" for name in ("rds_refusals", "rds_secrecy", "gateway")
    ),
    "previews": (f"{BEHAVIOUR}preview_policy.py", "tests/preview/test_preview.py"),
    "crashes": (f"{BEHAVIOUR}crash.py",),
    "applies": ("tests/node/test_apply.py", "tests/node/test_crash.py", "tests/node/test_launcher.py"),
    "programs": tuple(
        f"tests/test_{name}.py"
        for name in ("program", "rds_controls", "gateway_controls", "single_permissions")
    ),
    "policies in the engine": ("tests/policy/test_engine.py",),
}
GROUP_OF = {file: group for group, files in GROUPS.items() for file in files}
ORDER = {file: number for number, file in enumerate(GROUP_OF)}


def file_of(nodeid: str) -> str:
    """The file of a test."""
    return nodeid.partition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups, in their order."""
    items.sort(key=lambda item: ORDER.get(file_of(item.nodeid), len(ORDER)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Keep the files of a group together where `--dist loadfile` asks for whole files."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return GROUP_OF.get(file_of(nodeid), file_of(nodeid))

    return Groups(config, log)
