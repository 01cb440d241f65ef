"""Folders that the processes of one test run share."""

import os
from pathlib import Path

import pytest


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the whole run: pytest-xdist gives each of its processes a folder
    of its own inside it. What is written there must bear several writers at once."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
