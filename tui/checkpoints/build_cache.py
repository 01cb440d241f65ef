"""A cache of folders that are made once, by one process at a time, and checked."""

import contextlib
import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui.host import system

MANIFEST = "duibi.json"
"""The file of a folder that says what it was made of, and lists its files."""
_SMALL = 16 << 20


def ensure(folder: Path, make: Callable[[Path], dict[str, Any]]) -> Path:
    """``folder``, whole: as it is, or made anew by ``make(temporary folder)``.

    ``make`` writes files and returns what the manifest shall say besides. A second
    process waits for the first and takes its result. What a dead process left is removed.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _lock(folder.with_name(folder.name + ".lock")) as alone:
        if _is_whole(folder):
            return folder
        if alone:
            for left in folder.parent.glob(f"{folder.name}.*.part"):
                shutil.rmtree(left, ignore_errors=True)
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            temporary.mkdir(mode=0o700)
            said = make(temporary)
            sums = {p.name: [p.stat().st_size, checksum(p)] for p in sorted(temporary.iterdir())}
            _write_manifest(temporary, {**said, "files": sums, "boot": system.boot_id()})
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    """What was written down when the folder was made; empty if that cannot be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def entries(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every folder in ``root`` that has a manifest, and that; whole or not."""
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if said := manifest(folder):
            yield folder, said


def remove_unfinished(root: Path) -> bool:
    """Remove what processes that are gone left half made in ``root``; whether some is left,
    because its process still runs."""
    left = False
    for folder in root.glob("*.part") if root.is_dir() else ():
        maker = folder.name.split(".")[-2]
        if maker.isdigit() and system.is_running(int(maker)):
            left = True
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return left


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return crc


def _is_whole(folder: Path) -> bool:
    """Whether every file is as it was made.

    Nothing is fsynced, which would cost seconds for weights. What was written in this
    boot of the machine is in the page cache or on disk; after another boot the large
    files are read through once.
    """
    said = manifest(folder)
    files = said.get("files")
    if not isinstance(files, dict) or not files:
        return False
    # Another machine that shares the folder has another one too.
    boot = system.boot_id()
    new_boot = said.get("boot") != boot
    try:
        for name, (size, crc) in files.items():
            path = folder / Path(name).name
            if path.stat().st_size != size:
                return False
            if (new_boot or size <= _SMALL) and checksum(path) != crc:
                return False
        if new_boot:
            _write_manifest(folder, {**said, "boot": boot})
    except (OSError, ValueError, TypeError):
        return False
    return True


def _write_manifest(folder: Path, said: dict[str, Any]) -> None:
    fresh = folder / f".{MANIFEST}.{os.getpid()}"
    fresh.write_text(json.dumps(said, indent=1), encoding="utf-8")
    fresh.replace(folder / MANIFEST)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Hold the lock file; gives whether it is held (network folders may not have locks)."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            held = True
        except OSError:
            held = False
        yield held
