"""No test sees or touches the real home: every folder of the program is a fresh one.

A run ends with what it computed with and what it could not test: a green one on this machine is
not one on another.
"""

import faulthandler
import gc
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.run_folder import run_folder
from tui.host import format_speeds, kernel_compiler
from tui.host.format_speeds import FormatSpeeds
from tui.text import translation
from tui.worker import lean_imports

# Before a test imports transformers by itself.
lean_imports.install()
# Several processes of tests share the cores with the programs that they start: threads that
# spin while they wait would take the cores from those that compute. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
# Also where the environment forbids it: hundreds of programs would compile the same modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# No test fails because the machine was busy with something else.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# Until all tests are collected: what their modules import stays.
gc.disable()
# The standard measure of each model would take longer than most tests: those that are about it
# ask for it.
os.environ.setdefault("DUIBI_MEASURE", "false")


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels: made once, not for each test's empty cache."""
    made = run_folder(tmp_path_factory) / "kernels"
    made.mkdir(mode=0o700, exist_ok=True)
    return made


@pytest.fixture(scope="session")
def speeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Figures of the formats as a machine at rest may have: no test of anything else measures
    them for ten seconds."""
    weights_s = {
        dtype: {
            rows: fast * rows for rows in (*format_speeds.BATCH_ROWS, format_speeds.PROMPT_ROWS)
        }
        for dtype, fast in (("bf16", 10e9), ("int8", 20e9), ("int4", 30e9))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUIBI_CACHE_DIR", str(tmp_path_factory.mktemp("speeds")))
        format_speeds.keep(FormatSpeeds("AVX2", "2026-11-29", weights_s))
        return format_speeds.place()


_CHOICES = ("DUIBI_LANG", "DUIBI_THEME", "DUIBI_MEMORY_LIMIT")


@pytest.fixture(autouse=True)
def own_folders(
    tmp_path: Path, kernels: Path, speeds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Point the cache, the configuration and the sessions into the test's own folder."""
    translation.speak("en")  # a command of an earlier test may have chosen another language
    for name in ("CACHE", "CONFIG", "SESSIONS"):
        monkeypatch.setenv(f"DUIBI_{name}_DIR", str(tmp_path / f"duibi-{name.lower()}"))
    # COLUMNS and LINES: pytest-xdist sets them, and a terminal has a size of its own.
    for name in ("NO_COLOR", "COLUMNS", "LINES", *_CHOICES):
        # Set first: what a command sets is taken back after the test, also where nothing was.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    cache = tmp_path / "duibi-cache"
    cache.mkdir(mode=0o700)
    (cache / "kernels").symlink_to(kernels)
    (cache / "speeds").mkdir(mode=0o700)
    (cache / "speeds" / speeds.name).write_bytes(speeds.read_bytes())


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may grow (RLIMIT_FSIZE; below 0: without limit): a write over it
    is short, then EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else before[0], before[1]))

    yield limit
    limit(-1)


_KERNELS = pytest.StashKey[set[str]]()
_STDERR = pytest.StashKey[int]()
"""Where pytest itself prints to: what a test prints is kept until it ends."""
_HIDING = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DUIBI_HIDE_CPU_FLAGS")
"""What can keep a CPU from the instructions that it has."""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_KERNELS] = set()
    config.stash[_STDERR] = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """The limit of pytest-timeout is a signal, which Python hears of: a test that waits within a
    library would wait for ever. It ends its process, which says where it was."""
    limit_s = item.config.getoption("timeout", None) or float(item.config.getini("timeout"))
    faulthandler.dump_traceback_later(2 * limit_s, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A run that has to end in time says how many tests it has not come to."""
    if time.time() > float(os.environ.get("TESTS_UNTIL", "inf")):
        pytest.skip("the time of this run was over")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if found := _kernels():
        session.config.stash[_KERNELS].add(found)
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        computed: set[str] = session.config.stash[_KERNELS]
        told["kernels"] = sorted(computed)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Of pytest-xdist: one of its processes has ended, which computed for this one."""
    node.config.stash[_KERNELS] |= set(getattr(node, "workeroutput", {}).get("kernels", ()))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    computed: set[str] = config.stash[_KERNELS]
    for kernels in sorted(computed) or ["none were asked for"]:
        terminalreporter.write_line(f"kernels: {kernels}")
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reasons[str(report.longrepr[2]).removeprefix("Skipped: ")] += 1
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"not tested here: {reason} ({count})")


def _kernels() -> str:
    """What computed in this process: empty where nothing did."""
    build = sys.modules.get("tui.worker.kernels.build")
    if build is None or not build._try_load.cache_info().currsize:
        return ""
    found = f"{build.variant_name()}, compiled by {_compiler()}"
    if why := build.unavailable_reason():
        found = f"torch's, because {why}"
    hidden = [f"{name}={os.environ[name]}" for name in _HIDING if name in os.environ]
    return f"{found} ({' '.join(hidden)})" if hidden else found


def _compiler() -> str:
    found = kernel_compiler.compilers()
    if not found:
        return "an earlier run"
    told = subprocess.run([found[0], "--version"], capture_output=True, text=True, check=False)
    return told.stdout.partition("\n")[0] or found[0]
