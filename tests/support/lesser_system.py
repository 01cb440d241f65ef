"""Programs that run as on a system without what only Linux has."""

from pathlib import Path

from tests.support.commands import with_site_code

_TAKE_AWAY = """
import contextlib, io, os, pathlib, platform, resource, select, sys, time
import sysconfig, urllib.request
with contextlib.suppress(ImportError):  # A sandbox sees no packages.
    import psutil

# What has parts for each system was imported above, for the one there is.
sysconfig.get_config_vars()

sys.platform = "darwin"
for module, names in (
    (os, ("sched_getaffinity", "posix_fadvise", "O_PATH", "ST_NOEXEC", "memfd_create")),
    (resource, ("prlimit",)),
    (time, ("CLOCK_BOOTTIME",)),
    (select, ("POLLRDHUP", "epoll")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

_setrlimit = resource.setrlimit


def setrlimit(kind, limits):
    if kind == resource.RLIMIT_AS:
        raise ValueError("current limit exceeds maximum limit")
    _setrlimit(kind, limits)


resource.setrlimit = setrlimit


def hiding(call):
    def checked(path, *args, **options):
        if isinstance(path, (str, os.PathLike)) and str(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return call(path, *args, **options)
    return checked


# psutil opens files by other ways.
for name in ("open", "stat", "iterdir", "read_text", "read_bytes"):
    setattr(pathlib.Path, name, hiding(getattr(pathlib.Path, name)))
os.scandir, os.open = hiding(os.scandir), hiding(os.open)
"""


def lesser_system(folder: Path) -> dict[str, str]:
    """The variables for a program, and for all that it starts, on a system without ``/proc``,
    control groups, a limit of the address space and Linux's own calls; what does that is written
    to ``folder``."""
    return with_site_code(folder, _TAKE_AWAY)


def on_a_lesser_system(script: Path, folder: Path) -> Path:
    """A script in ``folder`` that does what another does, on such a system: for what Python starts
    without heeding the variables of `lesser_system`."""
    made = folder / script.name
    made.write_text(
        f"{_TAKE_AWAY}\nimport runpy\nrunpy.run_path({str(script)!r}, None, '__main__')\n"
    )
    return made
