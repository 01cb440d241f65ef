"""Sessions for network and FUSE mounts: written on the local disk, copied whole at the end.

Such mounts (NFS, OSS buckets) rewrite a whole object for each append, lose locks, and
may show half a file under its final name; a local disk does none of that.
"""

import os
import shutil
from hashlib import sha256
from pathlib import Path

from tui.host import filesystem, paths
from tui.host.errors import UserError
from tui.sessions import storage

_TARGET = "target"


def staging_folder(folder: Path) -> Path | None:
    """Where sessions meant for ``folder`` are written meanwhile; None: there itself.

    It lies in the cache folder and remembers what it stands for, so that a session left by
    a crash is still listed with ``folder`` and copied there when it is closed after all.
    """
    if not filesystem.is_remote(folder):
        return None
    staged = _staged_folder(folder)
    if filesystem.is_remote(staged.parent.parent):
        return None
    storage.make_folder(staged)
    (staged / _TARGET).write_text(str(folder.resolve()), encoding="utf-8")
    return staged


def undelivered_folder(folder: Path) -> Path | None:
    """The local folder that holds sessions not yet copied to ``folder``, if there is one."""
    staged = _staged_folder(folder)
    return staged if (staged / _TARGET).is_file() else None


def stage(path: Path) -> tuple[Path, Path | None]:
    """Where to append to a session, and where to copy it in the end (None: nowhere).

    Raises:
        UserError: it cannot be copied to the local disk.
    """
    remembered = path.parent / _TARGET
    if path.parent.parent == paths.cache_dir() / "staged" and remembered.is_file():
        return path, Path(remembered.read_text(encoding="utf-8")) / path.name
    staged = staging_folder(path.parent)
    if staged is None:
        return path, None
    local = staged / path.name
    if not local.exists():
        try:
            shutil.copyfile(path, local)
            local.chmod(0o600)
        except OSError as error:
            local.unlink(missing_ok=True)
            raise UserError(f"cannot copy {path}: {storage.error_text(error)}") from None
    return local, path


def deliver(local: Path, target: Path) -> None:
    """Copy a closed session to where it belongs, compare, and remove the local copy.

    Raises:
        OSError: it could not be copied; the local copy is still there.
    """
    shutil.copyfile(local, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
        copied = sha256(file.read()).digest()
    if copied != sha256(local.read_bytes()).digest():
        raise OSError(0, f"the copy in {target.parent} differs")
    local.unlink()


def _staged_folder(folder: Path) -> Path:
    return paths.cache_dir() / "staged" / storage.folder_hash(folder)
