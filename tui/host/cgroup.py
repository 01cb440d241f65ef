"""The control groups this process lives in, of both versions.

``/proc/self/cgroup`` names the group of each hierarchy and ``/proc/self/mountinfo``
says where (and from which group on) the hierarchy is mounted; see cgroups(7). All
functions take the root of the file system, so that a laid-out tree can stand for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The folders of a controller: the own group first, then every ancestor in sight."""

    version: int
    folders: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    controllers: frozenset[str]
    start: str
    """The group that the mount point shows; "/" for the whole hierarchy."""
    point: str


def find_groups(controller: str, probe: str, root: Path = ROOT) -> ControlGroups | None:
    """The groups that ``controller`` is run in, or None where there are none.

    In a hybrid layout both versions are mounted and one has the controller: version 2
    counts if any of its groups has the file ``probe`` (the root group never has it).
    """
    own = dict(_own(root))
    found = None
    for mount in _mounts(root):
        if mount.version == 2 and "" in own:
            folders = _chain(root, mount, own[""])
            if any((folder / probe).exists() for folder in folders):
                return ControlGroups(2, folders)
        elif controller in mount.controllers and controller in own:
            found = found or ControlGroups(1, _chain(root, mount, own[controller]))
    return found


def read_text(path: Path) -> str | None:
    """The stripped text of a control file, or None where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """The integer in a control file; None for ``max``, nonsense and a missing file."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def read_table(path: Path) -> dict[str, int]:
    """A file of ``name number`` lines, such as ``memory.stat`` or ``/proc/meminfo``."""
    found: dict[str, int] = {}
    for line in (read_text(path) or "").splitlines():
        parts = line.replace(":", " ").split()
        if len(parts) >= 2 and parts[1].isdigit():
            found[parts[0]] = int(parts[1]) * (1024 if parts[2:] == ["kB"] else 1)
    return found


def read_rows(path: Path, *names: str) -> tuple[int, ...]:
    """The numbers of these rows of a `read_table` file, 0 for one that it has not: a file that is
    read many times a second is not taken apart for a few of its rows."""
    text = f"\n{read_text(path) or ''}\n"
    return tuple(_row(text, name) for name in names)


def _row(text: str, name: str) -> int:
    at = text.find(f"\n{name}")
    while at >= 0:
        start = at + 1 + len(name)
        if text[start] in ": \t":
            parts = text[start : text.index("\n", start)].replace(":", " ").split()
            is_number = bool(parts) and parts[0].isdigit()
            return int(parts[0]) * (1024 if parts[1:] == ["kB"] else 1) if is_number else 0
        at = text.find(f"\n{name}", start)
    return 0


def _own(root: Path) -> Iterator[tuple[str, str]]:
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            yield controller, path


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in (read_text(root / "proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield _Mount(2, frozenset(), fields[3], fields[4])
        elif kind[0] == "cgroup":
            yield _Mount(1, frozenset(kind[2].split(",")), fields[3], fields[4])


def _chain(root: Path, mount: _Mount, group: str) -> tuple[Path, ...]:
    """The group's folder and those above it, up to the mount point.

    A container that shares the host's cgroup namespace sees its own group mounted and
    named in full: what lies above the mount is out of sight, not out of force.
    """
    point = root / mount.point.lstrip("/")
    inside = group.removeprefix(mount.start) if mount.start != "/" else group
    if mount.start != "/" and inside and not inside.startswith("/"):
        inside = ""
    folder = point / inside.lstrip("/")
    if ".." in Path(inside).parts or not folder.is_dir():
        folder = point
    chain = [folder]
    while chain[-1] != point:
        chain.append(chain[-1].parent)
    return tuple(chain)
