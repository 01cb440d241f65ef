"""Where this program keeps its files, and where those that came with it lie.

The environment wins (``DUIBI_CACHE_DIR``, ``DUIBI_CONFIG_DIR``, ``DUIBI_SESSIONS_DIR``),
then in a notebook the disk that survives its restart, then the platform's folders for an
application called ``duibi``.
"""

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import platformdirs

import tui
from tui.host.errors import UserError

_APP = "duibi"
_SESSIONS = "duibi-sessions"
_WORKSPACE = "/mnt/workspace"
"""Of a ModelScope notebook (PAI-DSW): all but this folder is gone after a restart."""
_DATA = "/mnt/data"
"""Where data sets and disks of one's own are mounted there."""

ADOPTED_MESSAGE = (
    "sessions, models and settings are kept in {folder}, which survives a restart of the "
    "notebook (DUIBI_SESSIONS_DIR, DUIBI_CACHE_DIR and MODELSCOPE_CACHE choose other folders)"
)

TEMPORARY_MESSAGE = (
    "no home folder can be written: sessions and caches are in {folder} until the machine "
    "restarts (DUIBI_SESSIONS_DIR and DUIBI_CACHE_DIR choose other folders)"
)

_adopted: Path | None = None
_temporary: Path | None = None


def cache_dir() -> Path:
    """Models made ready to load and the log: everything that can be made again."""
    variable = "DUIBI_CACHE_DIR"
    folder = _choose_dir(variable, Path(".cache", _APP), platformdirs.user_cache_path)
    return _usable(folder, variable, "cache", to_write=True)


def config_dir() -> Path:
    """The user's ``duibi.toml`` and themes. It may not be there: who only reads needs none."""
    folder = _choose_dir("DUIBI_CONFIG_DIR", Path(".config", _APP), platformdirs.user_config_path)
    with contextlib.suppress(UserError):
        make_private_dir(folder)
    return folder


def sessions_dir(to_write: bool = False) -> Path:
    """The recorded sessions."""
    variable = "DUIBI_SESSIONS_DIR"
    folder = _choose_dir(
        variable, Path(_SESSIONS), lambda app: platformdirs.user_data_path(app) / "sessions"
    )
    return _usable(folder, variable, "sessions", to_write)


def recording_dir() -> Path:
    """Where a run is recorded: `sessions_dir`, unless that can only be read."""
    return sessions_dir(to_write=True)


def home() -> Path | None:
    """The user's home folder; None where the system knows none."""
    try:
        found = Path.home()
    except RuntimeError:
        return None
    return found if found.is_absolute() else None


def shown(path: Path) -> str:
    """A path as a person types it: with ``~`` for the home folder, which names nobody."""
    place = home()
    return f"~/{path.relative_to(place)}" if place and path.is_relative_to(place) else str(path)


def expand(path: str | Path) -> Path:
    """``path`` with the home folder for ``~``, as far as there is such a user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def temporary_dir() -> Path | None:
    """Where sessions and caches are kept in this start of the program because the home folder
    cannot be written; None where it can."""
    return _temporary


def persistent_dir() -> Path | None:
    """The folder of a notebook that survives its restart: ``DUIBI_PERSISTENT_DIR``, else
    /mnt/workspace; None where there is none to write into, or the home folder lies in it."""
    folder = persistent_mount()
    try:
        inside = folder is not None and Path.home().is_relative_to(folder)
    except RuntimeError:
        return None
    return folder if folder is not None and not inside and os.access(folder, os.W_OK) else None


def persistent_mount() -> Path | None:
    """As `persistent_dir`, also where the home folder lies in it or it cannot be written."""
    folder = Path(os.environ.get("DUIBI_PERSISTENT_DIR", "") or _WORKSPACE)
    try:
        return folder if folder.is_dir() else None
    except OSError:
        return None


def survives_restart(path: Path) -> bool | None:
    """Whether a path is kept over a restart of the notebook; None where this is none."""
    folder = persistent_mount()
    if folder is None:
        return None
    place = path.absolute()
    return any(place.is_relative_to(kept) for kept in (folder, folder.resolve(), Path(_DATA)))


def adopt_persistent_dir() -> Path | None:
    """The folder of `persistent_dir` where it begins to be used with this start of the program;
    None at every later one. Who shows something says it then, once."""
    global _adopted
    folder = persistent_dir()
    if folder is not None and not os.environ.get("DUIBI_SESSIONS_DIR", ""):
        sessions = folder / _SESSIONS
        if not sessions.exists():
            make_private_dir(sessions)
            _adopted = folder
    return _adopted


def log_file() -> Path:
    """Where tracebacks and the workers' output go."""
    return make_private_dir(cache_dir() / "logs") / "duibi.log"


def bundled(name: str) -> Path:
    """The folder ``themes`` or ``sessions`` that travels with the program."""
    package = Path(tui.__file__).parent
    installed = package / "_bundled" / name
    return installed if installed.is_dir() else package.parent / name


def portable(path: Path) -> str:
    """``path`` with ``~`` for the home folder, as files that people pass on show it."""
    try:
        return str("~" / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def make_private_dir(path: Path) -> Path:
    """``path``, made with mode 0700 where it does not exist yet.

    Raises:
        UserError: it cannot be made, or something else is in the way.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {path}: {error.strerror or error}",
            "free the path, or set DUIBI_CACHE_DIR, DUIBI_CONFIG_DIR and DUIBI_SESSIONS_DIR "
            "to folders that can be written",
        ) from None
    return path


def _usable(folder: Path, variable: str, name: str, to_write: bool) -> Path:
    """``folder``, made; where nobody chose it (``variable``) and it cannot be made, or not be
    written as it must, one for temporary files."""
    global _temporary
    try:
        make_private_dir(folder)
    except UserError:
        if os.environ.get(variable):
            raise
    else:
        if not to_write or os.environ.get(variable) or os.access(folder, os.W_OK):
            return folder
    place = Path(os.environ.get("TMPDIR") or "/tmp", f"{_APP}-{os.getuid()}")
    made = make_private_dir(place)
    seen = made.lstat()
    # Anybody can make a folder of that name.
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise UserError(f"{made} is not yours alone", f"set {variable} to a folder of your own")
    _temporary = made
    return make_private_dir(made / name)


def _choose_dir(variable: str, there: Path, default: Callable[[str], Path]) -> Path:
    """The variable's folder, else ``there`` on the disk that survives, else ``default``'s for
    the program; where no home folder is known one that cannot be made."""
    if given := os.environ.get(variable, ""):
        return expand(given)
    folder = persistent_dir()
    if folder is not None:
        return folder / there
    try:
        return default(_APP)
    except RuntimeError:
        return Path(os.devnull, _APP)
