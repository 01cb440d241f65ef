"""Pythons that Debian packages, unpacked into a folder: of a release newer than this system's, or
for a processor that an emulator stands for. The system's own packages are not touched."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SETTINGS = """
APT::Architecture "{machine}";
APT::Architectures {{ "{machine}"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
"""
_LIBRARIES = ("lib/{triplet}/openblas-pthread", "lib/{triplet}", "lib")


class NotHereError(Exception):
    """Debian's packages cannot be had, or nothing here runs them."""


@dataclass(frozen=True, slots=True)
class DebianPython:
    """The interpreter of a folder: a script that starts it, and as which it starts others."""

    path: Path
    minor: int
    packages: Path
    """Where Debian's own Python packages lie, and where others are found too."""


def unpack(
    folder: Path, release: str, machine: str, packages: tuple[str, ...], emulator: str = ""
) -> DebianPython:
    """Fetch the python3 of a release, other packages and what these need; ``machine`` as Debian
    names it. ``emulator`` runs programs of another machine.

    Raises:
        NotHereError: With the reason.

    """
    if not _KEYS.exists() or not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NotHereError("no apt and no keys of Debian")
    root, archives = folder / "root", folder / "cache" / "archives"
    shutil.rmtree(root, ignore_errors=True)
    for place in (root, archives / "partial", folder / "state" / "lists" / "partial"):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "state" / "status").touch()
    (folder / "apt.conf").write_text(_SETTINGS.format(machine=machine, folder=folder))
    source = f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {release} main\n"
    (folder / "sources.list").write_text(source)
    apt = ["env", f"APT_CONFIG={folder / 'apt.conf'}", "apt-get", "--quiet=2"]
    fetch = ["install", "--yes", "--download-only", "--no-install-recommends"]
    _run([*apt, "update", "--error-on=any"])
    _run([*apt, *fetch, "python3", *packages])
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(root)])
    return _start(root / "usr", emulator)


def _start(usr: Path, emulator: str) -> DebianPython:
    """Write the script. Python takes its name for the program's, so its own folders are found
    beside it, and the programs that it starts again by `sys.executable` go the same way."""
    given = usr / "bin" / "python3"
    name = given.readlink().name  # python3.N
    triplet = next(path.name for path in (usr / "lib").glob("*-linux-gnu"))
    if emulator:
        before = f'{emulator} -L "{usr.parent}" -0 "$0"'
    else:
        # Its own C library, by the loader that belongs to it: this system's may be older.
        libraries = ":".join(f"{usr}/{one.format(triplet=triplet)}" for one in _LIBRARIES)
        (loader,) = (usr / "lib" / triplet).glob("ld-linux*.so.*")
        before = f'"{loader}" --library-path "{libraries}" --argv0 "$0"'
    given.unlink()  # it leads to what the script starts
    given.write_text(f'#!/bin/sh\nexec {before} "{usr / "bin" / name}" "$@"\n')
    given.chmod(0o755)
    minor = int(name.rpartition(".")[2])
    return DebianPython(given, minor, usr / "lib" / "python3" / "dist-packages")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotHereError(said[-1] if said else f"{command[0]} failed")
