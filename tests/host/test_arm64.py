"""The core on a processor of another kind: Debian's Python for arm64, run by an emulator."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import debian
from tests.support.commands import in_this_process
from tests.support.debian import DebianPython, NotHereError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")


def pip(*args: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *args]
    subprocess.run(command, check=True, env=os.environ | {"DUIBI_PREBUILT": "0"})


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> DebianPython:
    """With the wheel for all platforms, and the wheels for arm64 of what it needs."""
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("no emulator of arm64")
    folder = tmp_path_factory.mktemp("arm64")
    try:
        made = debian.unpack(folder, "bookworm", "arm64", (), emulator)
    except NotHereError as why:
        pytest.skip(f"no Python for arm64: {why}")
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("duibi-*.whl")
    wanted = [f"--platform={name}" for name in _PLATFORMS] + [f"--python-version=3.{made.minor}"]
    limits = ["--only-binary=:all:", f"--constraint={ROOT / 'constraints.txt'}"]
    pip("install", "--quiet", *wanted, *limits, f"--target={made.packages}", str(wheel))
    # The bytecode is the same on every processor, and to make it under an emulator takes minutes.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(made.path.parents[1] / "lib")])
    return made


def run(python: DebianPython, folder: Path, line: str) -> str:
    command = [str(python.path), "-P", "-m", "tui", *line.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_that_processor(python: DebianPython, tmp_path: Path) -> None:
    assert json.loads(run(python, tmp_path, "--version --json"))["platform"].endswith(" aarch64")


def test_it_looks_at_the_machine(python: DebianPython, tmp_path: Path) -> None:
    said = run(python, tmp_path, "doctor")
    assert f"Python 3.{python.minor}." in said


def test_it_replays_and_lists_what_came_with_it_as_here(
    python: DebianPython, tmp_path: Path
) -> None:
    for line in ("replay english --plain --speed max", "sessions list"):
        assert run(python, tmp_path, line) == in_this_process(*line.split())[1]
