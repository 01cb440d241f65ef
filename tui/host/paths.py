"""Where this program keeps its files, and where those that came with it lie.

The environment wins (``DUIBI_CACHE_DIR``, ``DUIBI_CONFIG_DIR``, ``DUIBI_SESSIONS_DIR``),
then the platform's folders for an application called ``duibi``.
"""

import os
from pathlib import Path

import platformdirs

import tui
from tui.host.errors import UserError

_APP = "duibi"


def cache_dir() -> Path:
    """Models made ready to load and the log: everything that can be made again."""
    return private_dir(_place("DUIBI_CACHE_DIR", platformdirs.user_cache_path(_APP)))


def config_dir() -> Path:
    """The user's ``duibi.toml`` and themes."""
    return private_dir(_place("DUIBI_CONFIG_DIR", platformdirs.user_config_path(_APP)))


def sessions_dir() -> Path:
    """The recorded sessions."""
    return private_dir(_place("DUIBI_SESSIONS_DIR", platformdirs.user_data_path(_APP) / "sessions"))


def log_file() -> Path:
    """Where tracebacks and the workers' output go."""
    return private_dir(cache_dir() / "logs") / "duibi.log"


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


def private_dir(path: Path) -> Path:
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


def _place(variable: str, default: Path) -> Path:
    given = os.environ.get(variable, "")
    return Path(given).expanduser() if given else default
