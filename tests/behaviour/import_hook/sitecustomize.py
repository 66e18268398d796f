"""Run by every interpreter whose PYTHONPATH holds this folder and the checkout."""

from __future__ import annotations

import os

from tests.behaviour.program_changes import VARIABLE, install

install(os.environ[VARIABLE])
