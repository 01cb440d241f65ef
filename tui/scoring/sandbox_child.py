"""The child process of `tui.scoring.sandbox`: one JSON request a line, one answer a line.

It runs isolated (``-I -S``): of ours it imports only what differs between systems.
"""

import ast
import json
import re
import sys
import warnings
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))
from tui.host import system

MAX_MEMORY = 1 << 29
PASSED, NOT_PASSED, BROKEN = "passed", "not passed", "broken"


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
    system.limit_address_space(MAX_MEMORY)
    warnings.simplefilter("ignore")
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(_outcome(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
