"""What the engine runs, with this folder first on its path.

The packages `policy` and `postgres` are beside this file in a self-contained copy, and a folder higher
in the checkout. That folder takes this one's place on the path, so that no module here hides another's.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE if (_HERE / "postgres").is_dir() else _HERE.parent


def main() -> None:
    """Answer the engine until it ends the process."""
    sys.path[:] = [str(_ROOT), *(each for each in sys.path if Path(each).resolve() != _HERE)]
    from policy.serving import serve

    serve()


if __name__ == "__main__":
    main()
