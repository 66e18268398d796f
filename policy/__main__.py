"""Starts the pack. The engine runs this file, with its folder first on Python's path.

In a self-contained copy the packages `policy` and `postgres` are in this folder; in the checkout they are in
the folder above. That folder replaces this one on the path, so that no module in here shadows another one.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE if (_HERE / "postgres").is_dir() else _HERE.parent


def main() -> None:
    """Serve until the engine terminates the process."""
    sys.path[:] = [str(_ROOT), *(each for each in sys.path if Path(each).resolve() != _HERE)]
    from policy.serving import serve

    serve()


if __name__ == "__main__":
    main()
