"""Several commands of the program in one process: to start it costs more than most of them."""

import json
import re
import sys
from collections.abc import Sequence

_RUN = """
import json, sys
from tui.cli import run_command_line
for line in json.loads(sys.argv[1]):
    status = run_command_line(line)
    sys.stderr.flush()
    print(f"\\n=== exit status {status}", flush=True)
"""
_STATUS = re.compile(rb"\r?\n=== exit status (\d+)\r?\n")


def in_one_process(*lines: Sequence[str]) -> list[str]:
    """The command that runs them one after the other and prints each exit status."""
    return [sys.executable, "-c", _RUN, json.dumps(lines)]


def outputs(printed: bytes) -> list[tuple[int, bytes]]:
    """The exit status of each and what it printed."""
    *parts, rest = _STATUS.split(printed)
    assert not rest, rest
    return [(int(status), said) for said, status in zip(parts[::2], parts[1::2], strict=True)]
