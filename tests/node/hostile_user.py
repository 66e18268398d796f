"""What a taken-over server could do to its folders; run as the server's user until it is terminated.

python hostile_user.py SEED VICTIM FOLDER...
"""

from __future__ import annotations

import os
import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

# Names that node looks at in the server's folders, and some that it does not.
NAMES = (
    "17", "main", "main.initialising", "data", "data.initialising", "socket", "start.log", "postgresql.conf",
    "passwordless-postgres-roles.json", "postgresql-Mon.json", "x.json", "y.json", ".s.PGSQL.5432.lock",
    ".s.PGSQL.1.lock", "postmaster.pid", "PG_VERSION", "99",
)  # fmt: skip
# The clusters themselves: without them no apply would get beyond making them.
KEPT = ("17", "data", "main")
PLACES = 16
STEPS = 100
MOST_BYTES = 8 * 1024**2
PAUSE_SECONDS = 0.001
"""It leaves the machine's cores to the applies."""


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
    """Plant, rename and remove in a few places at a time, and leave them empty, without end."""
    choice = random.Random(seed)  # noqa: S311 - not a secret
    while True:
        places = [choice.choice(folders) / choice.choice(NAMES) for _ in range(PLACES)]
        for _ in range(STEPS):
            time.sleep(PAUSE_SECONDS)
            place, other = choice.sample(places, 2)
            with suppress(OSError):
                step(place, other, victim, choice)
        for place in places:
            with suppress(OSError):
                removed(place)


def step(place: Path, other: Path, victim: Path, choice: random.Random) -> None:
    """Rename, remove or plant one thing."""
    if is_kept(other):
        return
    if choice.random() < 0.3:
        if not is_kept(place):
            place.rename(other)
    elif not removed(place) and choice.random() < 0.7:
        plant(place, victim, choice)


def is_kept(place: Path) -> bool:
    """Whether it is a folder that the applies need to get anywhere."""
    return place.name in KEPT and place.is_dir() and not place.is_symlink()


def removed(place: Path) -> bool:
    """Whether something was there and is gone now."""
    if is_kept(place):
        return True
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
        return True
    present = place.is_symlink() or place.exists()
    place.unlink(missing_ok=True)
    return present
