"""Tests with other Pythons, and with the lowest and the newest versions of what the program is
made of: ``python -m tests.support.versions FOLDER [--until SECONDS | --whole]``.

Each has an environment of its own in FOLDER, made by uv. The oldest Python at hand passes most
with the lowest versions of all extras, the others those of the core with the newest. With
``--until`` (seconds since 1970) these pass all but the slow ones, with the torch of the usual index
where no index of builds for the CPU is reached: first those of the core, then as many of the others
as there is time for, equally long with each Python. With ``--whole`` there is no limit, and
Debian's newest Python passes most, with Debian's torch.
"""

import argparse
import functools
import importlib.metadata
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support import debian
from tests.support.debian import NotHereError

ROOT = Path(__file__).parents[2]
CORE = ("sessions", "scoring", "questions", "text", "test_board.py", "test_events.py")
AT_THE_ENDS = (
    *(*CORE, "reports", "checkpoints", "engines/test_local.py", "worker/decode", "worker/gguf"),
    "worker/load/test_families_golden.py",
)
ALL = (*CORE, "")
"""Folders and files of tests/, in their order."""
TESTS_WITHIN_S = 1500.0
SHARE_AT_LEAST_S = 180.0
"""The core's tests take a minute on a slow machine."""
CUDA_BYTES = 9e9
"""What an environment with the usual torch takes on the disk, and its wheels while it is made."""
TOOLS = (
    *("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "hypothesis", "html5lib"),
    *("pyte", "ptyprocess", "pexpect", "evalica", "scipy", "wcwidth", "python-docx", "resvg-py"),
)
LOWEST, NEWEST = "lowest-direct", "highest"
CPU_TORCH = "https://download.pytorch.org/whl/cpu/torch/"
_OLDEST, _LATEST = 11, 14
_CACHE = "cache-of-cuda"
_PARTS_OF_TORCH = ("torch", "torchgen", "functorch", "torch-*.dist-info")


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python, which versions of its packages, and which tests it has to pass."""

    python: str
    minor: int
    resolution: str
    tests: tuple[str, ...] = CORE
    has_extras: bool = False
    torch: Path | None = None
    """The packages of which a torch for the CPU is taken; None: from an index, if any."""
    has_cuda: bool = False
    """Whether the usual index's torch is taken, which is of gigabytes for CUDA."""

    @property
    def name(self) -> str:
        """What is printed of it."""
        return f"Python 3.{self.minor}, {self.resolution} versions"


def interpreters() -> dict[int, str]:
    """Minor version of Python 3 -> its interpreter, of those that this machine has."""
    found = {}
    for minor in range(_OLDEST, _LATEST + 1):
        name, pyenv = f"python3.{minor}", Path.home() / ".pyenv" / "versions"
        kept = sorted(map(str, pyenv.glob(f"3.{minor}.*/bin/python3")))
        for path in filter(None, (*kept, shutil.which(name))):
            # One of pyenv's may be there and start nothing.
            asked = [path, "-c", "import sys; print(sys.version_info.minor)"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.stdout.strip() == str(minor):
                found[minor] = path
    return found


def environments(found: dict[int, str], is_whole: bool) -> list[Environment]:
    """The lowest versions with the oldest of these alone, the newest with the others: with the
    oldest, nearly these are what `make test` runs with."""
    oldest, *others = sorted(found)
    others.reverse()
    lowest = Environment(found[oldest], oldest, LOWEST, AT_THE_ENDS, True)
    tests = ALL if is_whole else CORE
    later = [Environment(found[m], m, NEWEST, tests, has_extras=is_whole) for m in others]
    return [lowest, *later]


def newest(folder: Path) -> Environment:
    """Debian's newest Python, with its torch: the usual index has none for the CPU.

    Raises:
        NotHereError: With the reason.

    """
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "none")
    wanted = ("python3-torch", "libopenblas0-pthread")
    made = debian.unpack(folder, "testing", machine, wanted)
    return Environment(str(made.path), made.minor, NEWEST, AT_THE_ENDS, True, made.packages)


@functools.cache
def has_index_of_cpu_builds() -> bool:
    """Whether PyTorch's own index is reached, which has old versions for the CPU too."""
    try:
        with urllib.request.urlopen(CPU_TORCH, timeout=10):
            return True
    except OSError:
        return False


def with_torch(wanted: Environment) -> Environment:
    """Where its torch comes from, decided."""
    if not wanted.has_extras or wanted.torch or has_index_of_cpu_builds():
        return wanted
    if wanted.resolution == NEWEST:
        if shutil.disk_usage(ROOT).free > CUDA_BYTES:
            return replace(wanted, has_cuda=True)
        print(f"not tested here: local models with Python 3.{wanted.minor} (the disk has no room)")
        return replace(wanted, has_extras=False, tests=CORE)
    here = importlib.metadata.distribution("torch")
    print(f"not tested here: the {wanted.resolution} torch (no index of CPU builds is reached)")
    if wanted.minor != sys.version_info.minor:
        return replace(wanted, has_extras=False, tests=CORE)
    return replace(wanted, torch=Path(str(here.locate_file(""))))


def needs_of_torch(packages: Path) -> list[str]:
    """What a torch that lies among packages is installed with."""
    (found,) = importlib.metadata.distributions(name="torch", path=[str(packages)])
    return [need for need in found.requires or () if "extra ==" not in need]


def install(wanted: Environment, folder: Path) -> bool:
    """Make an environment; False where that cannot be done, as without a package index."""
    uv = [sys.executable, "-m", "uv"]
    if wanted.has_cuda:
        # Gigabytes that nothing else wants: they go with the environments.
        uv += ["--cache-dir", str(folder.parent / _CACHE)]
    # With pip, by which some tests install.
    made = [*uv, "venv", "--quiet", "--clear", "--seed", "--python", wanted.python, str(folder)]
    if not _run(made):
        return False
    into = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    if wanted.has_cuda:
        into += ["--no-sources"]
    if wanted.torch:
        (site,) = folder.glob("lib/python3*/site-packages")
        for part in _PARTS_OF_TORCH:
            for path in wanted.torch.glob(part):
                (site / path.name).symlink_to(path)
        # It is there, and uv does not see it.
        (folder / "no-torch.txt").write_text("torch ; python_version < '3'\n")
        into += ["--override", str(folder / "no-torch.txt"), "--no-sources"]
        into += needs_of_torch(wanted.torch)
    project = ["--requirements", str(ROOT / "pyproject.toml")]
    extras = ["--extra", "all"] if wanted.has_extras else []
    if not _run([*into, "--resolution", wanted.resolution, *project, *extras]):
        return False
    # Any versions of the tools, and none of the others changed for them.
    freeze = [*uv, "pip", "freeze", "--quiet", "--python", str(folder / "bin" / "python")]
    kept = subprocess.run(freeze, capture_output=True, text=True, check=False).stdout
    (folder / "kept.txt").write_text(kept)
    tools = [*project, "--extra", "dev"] if wanted.has_extras else [*TOOLS]
    itself = [*into, "--no-deps", "--editable", str(ROOT)]
    return _run([*into, "--constraint", str(folder / "kept.txt"), *tools]) and _run(itself)


def passes(wanted: Environment, folder: Path, until: float = math.inf) -> bool:
    """Run the tests in an environment, those that begin until then (seconds since 1970); what
    they print goes to stdout."""
    chosen = [str(ROOT / "tests" / name) for name in wanted.tests]
    python = str(folder / "bin" / "python")
    parallel = ["-n", "4", "--dist", "worksteal"]
    tests = [python, "-m", "pytest", *parallel, "-m", "not slow", *chosen]
    return _run(tests, TESTS_WITHIN_S, {"TESTS_UNTIL": str(until)})


def share(wanted: list[Environment], until: float) -> float:
    """When the first of these has to end (seconds since 1970), so that each that passes all tests
    has the same time."""
    if wanted[0].tests != ALL:
        return math.inf
    left_s = until - time.time()
    return time.time() + max(left_s / sum(one.tests == ALL for one in wanted), SHARE_AT_LEAST_S)


def _run(
    step: list[str], within_s: float | None = None, more: Mapping[str, str] | None = None
) -> bool:
    # What is set for this environment is of no use in another.
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    environ.update(more or {})
    try:
        done = subprocess.run(step, cwd=ROOT, env=environ, check=False, timeout=within_s)
    except subprocess.TimeoutExpired:
        print(f"ended after {within_s:.0f} s: {shlex.join(step[:3])}", flush=True)
        return False
    return done.returncode == 0


def main() -> int:
    """How many of them fail, at most 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    limit = parser.add_mutually_exclusive_group()
    limit.add_argument("--until", type=float, default=0.0)
    limit.add_argument("--whole", action="store_const", dest="until", const=math.inf)
    asked = parser.parse_args()
    folder: Path = asked.folder
    found, untested, failed = interpreters(), [], []
    wanted = environments(found, is_whole=asked.until > 0)
    if asked.until == math.inf:
        try:
            last = newest(folder / "debian")
            wanted.append(last)
            found[last.minor] = last.python
        except NotHereError as why:
            untested.append(f"Debian's newest Python ({why})")
    else:
        untested.append("Debian's newest Python (only with WHOLE=1)")
    if not asked.until:
        untested.append("all tests with each Python (only with UNTIL=SECONDS or WHOLE=1)")
    for place, one in enumerate(wanted):
        until = share(wanted[place:], asked.until)
        one = with_torch(one)
        print(f"== {one.name}", flush=True)
        made = folder / f"{one.minor}-{one.resolution}"
        if not install(one, made):
            untested.append(f"{one.name} (no environment could be made)")
        elif not passes(one, made, until):
            failed.append(one.name)
        if one.has_cuda:
            shutil.rmtree(made, ignore_errors=True)
    shutil.rmtree(folder / _CACHE, ignore_errors=True)
    untested += [f"Python 3.{m}" for m in range(_OLDEST, _LATEST + 1) if m not in found]
    for what in untested:
        print(f"not tested here: {what}")
    print("\n".join(f"FAILED with {name}" for name in failed) or "versions: none failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
