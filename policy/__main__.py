"""What the engine runs, with nothing on its path but this folder.

The packages `policy` and `postgres` are beside this file in a self-contained copy, and a folder higher
in the checkout. They come first on the path, so that no module here hides one of another library.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE if (_HERE / "postgres").is_dir() else _HERE.parent


def main() -> None:
    """Answer the engine until it ends the process."""
    sys.path.insert(0, str(_ROOT))
    from policy.serving import serve

    serve()


if __name__ == "__main__":
    main()
