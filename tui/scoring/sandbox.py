"""Runs foreign patterns and programs in a child process with limits on time and memory.

A regular expression can backtrack for an unlimited time, and nested code can exhaust the
parser's stack: neither may happen in the process that draws the screen. Run as a script the
module is the child: one JSON request a line, one answer a line; it imports nothing of ours.
"""

import ast
import contextlib
import json
import os
import re
import resource
import select
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 1.0
MAX_MEMORY = 1 << 29
MAX_PATTERN = 2_000
PASSED, NOT_PASSED, TIMED_OUT, BROKEN = "passed", "not passed", "timed out", "broken"

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
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Only what Python needs to start: no keys of services.
        env={k: v for k, v in os.environ.items() if k.startswith(("LD_", "LC_", "LANG"))},
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


def _outcome(kind: str, pattern: str, text: str) -> str:
    if kind == "python":
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return NOT_PASSED
        return PASSED
    try:
        return PASSED if re.search(pattern, text) else NOT_PASSED
    except (re.error, RecursionError, MemoryError, OverflowError):
        return BROKEN


def _serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    warnings.simplefilter("ignore")
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(_outcome(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
