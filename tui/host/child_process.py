"""The one place where this program starts others: with which environment, and from where they
take their modules.

The current folder may hold a ``pip.py`` or a ``gcc`` of somebody else. So an interpreter never
looks for modules there (``PYTHONSAFEPATH``), and search paths lose their relative entries, and
those that name the current folder or one inside it. What stays is where this interpreter itself
lies, as a virtual environment in a project's folder; and where the home folder or the system lies
in the current folder, the folders inside it are the person's. A child
gets the variables that are listed here, not all but some: what a variable holds that nobody thought
of is no child's business.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tui
from tui.host.secrets import is_secret

_SEARCH_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "C_INCLUDE_PATH")
_NAMES = frozenset(
    (
        *_SEARCH_PATHS,
        *("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR", "LD_PRELOAD"),
        *("VIRTUAL_ENV", "CONDA_PREFIX", "COMPILER_PATH", "GCC_EXEC_PREFIX"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME"),
    )
)
_PREFIXES = (
    *("DUIBI_", "PYTHON", "LC_", "MALLOC_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ATEN_", "ONEDNN_", "DNNL_"),
    *("TORCH", "PYTORCH_", "CUDA", "NVIDIA_", "HIP_", "HSA_", "ROCR_"),
    *("HF_", "TRANSFORMERS_", "TOKENIZERS_", "MODELSCOPE_"),
)
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)
"""What a child needs that speaks with the network; a proxy's address may hold a password."""


def environment(
    also: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a child: what the lists of this module allow of ``environ`` (this
    program's own by default), without secrets, and the variables ``also`` that this child cannot
    do its work without."""
    given = os.environ if environ is None else environ
    made = {name: value for name, value in given.items() if name in also or _is_allowed(name)}
    for name in _SEARCH_PATHS:
        if name in made:
            made[name] = _without_strangers(made[name])
    return made | {"PYTHONSAFEPATH": "1"}


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this program in this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def with_own_modules(variables: Mapping[str, str]) -> dict[str, str]:
    """``variables``, so that a child finds this program's modules wherever they lie."""
    home = str(Path(tui.__file__).resolve().parent.parent)
    parts = [part for part in (home, variables.get("PYTHONPATH", "")) if part]
    return {**variables, "PYTHONPATH": os.pathsep.join(parts)}


def find_program(name: str) -> str | None:
    """Where a program of this name lies in PATH; never one of the current folder."""
    return shutil.which(name, path=_without_strangers(os.environ.get("PATH", os.defpath)))


def start(
    command: Sequence[str], variables: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.Popen[bytes]":
    """Start a child in `environment`, or in ``variables`` made of it. ``options`` are those of
    `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(
        command, env=environment() if variables is None else dict(variables), **options
    )


def run(
    command: Sequence[str], variables: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a child to its end, as `start`; its output is text, and without ``input`` it reads
    nothing. ``options`` are those of `subprocess.run`.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer than ``timeout`` seconds.
    """
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        command,
        env=environment() if variables is None else dict(variables),
        text=True,
        errors="replace",
        check=False,
        **options,
    )


def _is_allowed(name: str) -> bool:
    return (name in _NAMES or name.startswith(_PREFIXES)) and not is_secret(name)


def _without_strangers(search_path: str) -> str:
    """A search path without the entries that mean the current folder or one below it."""
    parts = search_path.split(os.pathsep)
    whole = [part for part in parts if os.path.isabs(part)]  # noqa: PTH117
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109
    except OSError:
        return os.pathsep.join(whole)  # it is gone, and so is what was in it
    # Of these folders a stranger made none of those inside.
    roots = [os.path.realpath(one) for one in (sys.base_prefix, os.path.expanduser("~"))]  # noqa: PTH111
    is_wide = any(_is_within(root, here) for root in roots)
    own_folders = _own_folders()

    def is_strangers(entry: str) -> bool:
        place = os.path.realpath(entry)
        if any(_is_within(place, own) for own in own_folders):
            return False
        return place == here or (not is_wide and _is_within(place, here))

    return os.pathsep.join(part for part in whole if not is_strangers(part))


def _own_folders() -> list[str]:
    """Where this interpreter and its libraries lie."""
    return [
        os.path.realpath(Path(prefix, name))
        for prefix in (sys.prefix, sys.base_prefix)
        for name in ("bin", "lib", "lib64", "include")
    ]


def _is_within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder.rstrip("/") + "/")


def signal_name(number: int) -> str:
    """What a signal is called, such as ``SIGABRT``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
