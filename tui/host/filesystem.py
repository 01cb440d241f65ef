"""What kind of disk a path lies on."""

import re
import shutil
from pathlib import Path

_REMOTE = ("fuse", "nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "beegfs", "gluster")
_OCTAL = re.compile(r"\\([0-7]{3})")  # how mountinfo writes spaces and backslashes


def filesystem_type(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that holds ``path``, as proc(5) names it; "" if unknown."""
    try:
        text = mounts.read_text(errors="replace")
        place = path.resolve()
    except OSError:
        return ""
    found, depth = "", -1
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        columns = left.split(" ")
        if len(columns) < 5 or not right:
            continue
        point = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), columns[4]))
        if len(point.parts) >= depth and place.is_relative_to(point):
            found, depth = right.split(" ", 1)[0], len(point.parts)
    return found


def free_bytes(path: Path) -> int:
    """Bytes free on the disk that holds ``path``, or will once it is made."""
    there = next(place for place in (path, *path.absolute().parents) if place.is_dir())
    return shutil.disk_usage(there).free


def is_remote(path: Path) -> bool:
    """Whether it is a network or FUSE mount, where small appends are slow or fail."""
    return filesystem_type(path).startswith(_REMOTE)
