"""Run by every interpreter whose PYTHONPATH holds this folder: the sandbox's resident process is changed."""

from __future__ import annotations

import sys

if sys.orig_argv[1:4] == ["-m", "sandbox", "serve"]:
    from tests.debian.virtual_machines import install

    install()
