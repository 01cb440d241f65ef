"""Commands of the program in this process, or several in one other: to start the program costs
more than most of them, and to start one that computes here costs three seconds of a CPU."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tui.cli import run_command_line
from tui.text import translation

_RUN = """
import json, sys
from tui.cli import run_command_line
for line in json.loads(sys.argv[1]):
    status = run_command_line(line)
    sys.stderr.flush()
    print(f"\\n=== exit status {status}", flush=True)
"""
_STATUS = re.compile(rb"\r?\n=== exit status (\d+)\r?\n")


def in_this_process(*args: str) -> tuple[int, str, str]:
    """The exit status of a command, its stdout and its stderr, neither of them a terminal. Its
    workers are copies of what this process has imported once for all tests."""
    translation.speak("en")  # as a new process does
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run_command_line([*args])
    printed, told = (stream.buffer.getvalue().decode() for stream in (out, err))
    return status, printed, told


def in_one_process(*lines: Sequence[str]) -> list[str]:
    """The command that runs them one after the other and prints each exit status."""
    return [sys.executable, "-c", _RUN, json.dumps(lines)]


def outputs(printed: bytes) -> list[tuple[int, bytes]]:
    """The exit status of each and what it printed."""
    *parts, rest = _STATUS.split(printed)
    assert not rest, rest
    return [(int(status), said) for said, status in zip(parts[::2], parts[1::2], strict=True)]


def run_with(
    environ: Mapping[str, str], folder: Path, *lines: Sequence[str]
) -> tuple[list[int], list[str], str]:
    """The exit statuses and the stdout of commands that run in ``folder`` with these variables,
    and the stderr of all."""
    done = subprocess.run(
        in_one_process(*lines),
        env={**os.environ, **environ},
        cwd=folder,
        capture_output=True,
        timeout=170,
    )
    told = outputs(done.stdout)
    statuses, said = [status for status, _ in told], [text.decode() for _, text in told]
    return statuses, said, done.stderr.decode()


def with_site_code(folder: Path, code: str) -> dict[str, str]:
    """The variables for a program, and for all that it starts, in which Python runs ``code``
    first; it is written to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(code, "utf-8")
    given = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), given)))}
