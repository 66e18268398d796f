"""The node's command line: `python -m node apply`, or the artifact itself."""

from __future__ import annotations

import argparse
import sys

from node.apply import apply
from node.layout import Layout

DESCRIPTION = """Brings this machine to its desired state once, and reports how it went.

exit status:
  0   the desired state is applied, or another run is in progress
  65  the desired state is refused; the server keeps the old one
  66  the desired state names another version of node
  75  a failure that may pass; the next run tries again
"""


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="node", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["apply"])
    parser.parse_args()
    sys.exit(apply(Layout.from_environment()))


if __name__ == "__main__":
    main()
