"""What a taken-over server could do to its folders; run as the server's user until it is terminated.

python hostile_user.py SEED VICTIM FOLDER...
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

# Names that node looks at in the server's folders, and some that it does not.
NAMES = (
    "17", "main", "main.initialising", "data", "data.initialising", "socket", "start.log", "postgresql.conf",
    "passwordless-postgres-roles.json", "postgresql-Mon.json", "x.json", "y.json", ".s.PGSQL.5432.lock",
    ".s.PGSQL.1.lock", "postmaster.pid", "PG_VERSION", "99",
)  # fmt: skip
# The cluster itself: without it the applies would have nothing to do.
KEPT = ("main", "17")
MOST_BYTES = 32 * 1024**2


def plant(place: Path, victim: Path, choice: random.Random) -> None:
    """Put one thing there."""
    targets = (victim, victim / "secret", victim / "folder", Path("/dev/zero"), Path("/etc"), Path("nowhere"))
    kind = choice.randrange(8)
    if kind <= 2:
        place.symlink_to(choice.choice(targets))
    elif kind == 3:
        os.mkfifo(place)
    elif kind == 4:
        place.mkdir()
        (place / "socket").symlink_to(victim)
    elif kind == 5:
        place.write_bytes(b"[" * 100_000)
    elif kind == 6:
        place.touch()
        os.truncate(place, 1024**4)
    else:
        with place.open("ab") as file:
            while file.tell() < MOST_BYTES:
                file.write(b'{"message": "again"}\n' * 10_000)


def attack(seed: int, victim: Path, folders: list[Path]) -> None:
    """Plant, rename and remove without end."""
    choice = random.Random(seed)  # noqa: S311 - not a secret
    while True:
        folder = choice.choice(folders)
        place, other = folder / choice.choice(NAMES), folder / choice.choice(NAMES)
        held = any(one.name in KEPT and not one.is_symlink() and one.is_dir() for one in (place, other))
        with suppress(OSError):
            if held:
                continue
            if choice.random() < 0.3:
                place.rename(other)
            elif place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
                if choice.random() < 0.7:
                    plant(place, victim, choice)
