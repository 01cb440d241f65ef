"""Runs foreign patterns and programs in a child process with limits on time and memory.

A regular expression can backtrack for an unlimited time, and nested code can exhaust the
parser's stack: neither may happen in the process that draws the screen.
"""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tui.host import child_process
from tui.scoring.sandbox_child import BROKEN, NOT_PASSED, PASSED

__all__ = ["BROKEN", "MAX_PATTERN", "NOT_PASSED", "PASSED", "TIMED_OUT", "Job", "run_jobs"]

TIMEOUT_S = 1.0
MAX_PATTERN = 2_000
TIMED_OUT = "timed out"
_CHILD = Path(__file__).with_name("sandbox_child.py")

Job = tuple[str, str, str]
"""``("regex", pattern, text)`` or ``("python", "", source)``."""


def run_jobs(jobs: Sequence[Job], timeout_s: float = TIMEOUT_S) -> list[str]:
    """What became of each job: ``passed``, ``not passed``, ``timed out`` (over
    ``timeout_s`` seconds, or the child died of it), or ``broken`` (no pattern at all)."""
    outcomes: list[str] = []
    while len(outcomes) < len(jobs):
        outcomes += _run_until_timeout(jobs[len(outcomes) :], timeout_s)
    return outcomes


def _run_until_timeout(jobs: Sequence[Job], timeout_s: float) -> list[str]:
    """Outcomes up to and including the first job that a child did not survive."""
    # Only what Python needs to start.
    variables = {
        name: value
        for name, value in child_process.environment().items()
        if name.startswith(("LD_", "LC_", "LANG"))
    }
    child = child_process.start(
        [sys.executable, "-I", "-S", str(_CHILD)],
        variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdin is not None and child.stdout is not None
    outcomes: list[str] = []
    try:
        # The first line says that the child runs: its start does not count as the pattern's time.
        child.stdout.readline()
        for job in jobs:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps(job).encode() + b"\n")
                child.stdin.flush()
            ready, _, _ = select.select([child.stdout], [], [], timeout_s)
            line = child.stdout.readline() if ready else b""
            outcomes.append(json.loads(line) if line else TIMED_OUT)
            if not line:
                break
    finally:
        child.kill()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.wait()
    return outcomes
