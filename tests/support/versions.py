"""The tests that need no model, with every Python at hand and with the lowest and the newest
versions of what the core is made of: ``python -m tests.support.versions [FOLDER]``.

Each has an environment of its own in FOLDER, made by uv, in which only the core is installed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ("sessions", "scoring", "questions", "text", "reports", "test_board.py", "test_events.py")
TOOLS = (
    *("pytest", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "hypothesis", "html5lib"),
    *("pyte", "ptyprocess", "pexpect", "evalica", "scipy", "wcwidth", "python-docx", "resvg-py"),
)
LOWEST, NEWEST = "lowest-direct", "highest"
_OLDEST, _LATEST = 11, 14


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


def combinations(found: dict[int, str]) -> list[tuple[int, str]]:
    """Which Pythons are tried with which versions: the lowest with the oldest alone."""
    return [(min(found), LOWEST), *((minor, NEWEST) for minor in sorted(found))]


def install(python: str, resolution: str, folder: Path) -> bool:
    """Make an environment; False where that cannot be done, as without a package index."""
    uv = [sys.executable, "-m", "uv"]
    into = ["--quiet", "--python", str(folder / "bin" / "python")]
    core = ["--resolution", resolution, "--requirements", str(ROOT / "pyproject.toml")]
    steps = [
        [*uv, "venv", "--quiet", "--clear", "--python", python, str(folder)],
        [*uv, "pip", "install", *into, *core],
        # Any versions of these, and none of the core's changed for them.
        [*uv, "pip", "install", *into, *TOOLS],
    ]
    return all(_run(step) for step in steps)


def passes(folder: Path) -> bool:
    """Run the tests in an environment; what they print goes to stdout."""
    chosen = [str(ROOT / "tests" / name) for name in TESTS]
    python = str(folder / "bin" / "python")
    return _run([python, "-m", "pytest", "-n", "4", "-m", "not slow", *chosen])


def _run(step: list[str]) -> bool:
    # What is set for this environment is of no use in another.
    hidden = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(step, cwd=ROOT, env=environ, check=False).returncode == 0


def main() -> int:
    """How many of them fail, at most 1."""
    folder = Path(sys.argv[1] if sys.argv[1:] else ROOT / ".venv" / "versions")
    found, failed, unmade = interpreters(), [], []
    missing = [minor for minor in range(_OLDEST, _LATEST + 1) if minor not in found]
    for minor, resolution in combinations(found):
        name = f"Python 3.{minor}, {resolution} versions"
        print(f"== {name}", flush=True)
        made = folder / f"{minor}-{resolution}"
        if not install(found[minor], resolution, made):
            unmade.append(name)
        elif not passes(made):
            failed.append(name)
    for name in unmade:
        print(f"not tested here: no environment could be made with {name}")
    for minor in missing:
        print(f"not tested here: Python 3.{minor} is not at hand")
    print("\n".join(f"FAILED with {name}" for name in failed) or "versions: none failed")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
