"""Where this program keeps its files, and where those that came with it lie.

The environment wins (``DUIBI_CACHE_DIR``, ``DUIBI_CONFIG_DIR``, ``DUIBI_SESSIONS_DIR``),
then in a notebook the disk that survives its restart, then the platform's folders for an
application called ``duibi``.
"""

import os
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

_adopted: Path | None = None


def cache_dir() -> Path:
    """Models made ready to load and the log: everything that can be made again."""
    default = platformdirs.user_cache_path(_APP)
    return make_private_dir(_choose_dir("DUIBI_CACHE_DIR", Path(".cache", _APP), default))


def config_dir() -> Path:
    """The user's ``duibi.toml`` and themes."""
    default = platformdirs.user_config_path(_APP)
    return make_private_dir(_choose_dir("DUIBI_CONFIG_DIR", Path(".config", _APP), default))


def sessions_dir() -> Path:
    """The recorded sessions."""
    default = platformdirs.user_data_path(_APP) / "sessions"
    return make_private_dir(_choose_dir("DUIBI_SESSIONS_DIR", Path(_SESSIONS), default))


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


def _choose_dir(variable: str, there: Path, default: Path) -> Path:
    """The variable's folder, else ``there`` on the disk that survives, else ``default``."""
    if given := os.environ.get(variable, ""):
        return Path(given).expanduser()
    folder = persistent_dir()
    return default if folder is None else folder / there
