"""Put on a program's path, writes down what it gives each child process: the command line
and the environment, as JSON lines in the file that DUIBI_TEST_CHILDREN names."""

import json
import os
import sys
from typing import Any

_FILE = os.environ.get("DUIBI_TEST_CHILDREN")


def _note(event: str, given: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or _FILE is None:
        return
    _, command, _, environment = given
    seen = {
        "command": [os.fsdecode(part) for part in command],
        "environment": {
            os.fsdecode(k): os.fsdecode(v)
            for k, v in (os.environ if environment is None else environment).items()
        },
    }
    with open(_FILE, "a", encoding="utf-8") as out:  # noqa: PTH123 - before anything is imported
        out.write(json.dumps(seen) + "\n")


sys.addaudithook(_note)
