"""Real small file systems for tests and benchmarks; they need the right to mount."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


@contextmanager
def mounted(*command: str) -> Iterator[Path | None]:
    """What ``mount`` makes of these arguments and a folder of its own; None: not allowed."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        done = subprocess.run(["mount", *command, name], capture_output=True)
        if os.geteuid() or done.returncode:
            yield None
            return
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", name], check=True)


def small_disk(kib: int) -> AbstractContextManager[Path | None]:
    """A disk of so many KiB."""
    return mounted("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs")
