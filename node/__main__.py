"""The node's command line: `python -m node apply`, or the artifact itself."""

from __future__ import annotations

import argparse
import sys

from node.apply import apply
from node.layout import Layout

DESCRIPTION = """Brings this machine to its desired state, once, and reports.

exit status:
  0   the desired state is applied, or another run is under way
  65  the desired state is refused; the old one goes on serving
  66  the desired state names another node than this one
  75  something stands in the way; the next run tries again
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
