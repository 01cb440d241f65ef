"""What `make run` does: where torch comes from, when an environment is made again, and what is
opened. Its commands are not carried out."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
CPU = "https://download.pytorch.org/whl/cpu"


def commands(*given: str) -> str:
    """What `make run` would do in a fresh clone."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "run", "VENV=/nowhere/venv", *given],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout


def test_torch_comes_from_the_index_of_cpu_builds_unless_a_gpu_is_seen() -> None:
    said = commands()
    has_gpu = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))
    assert (f'--index-url "{CPU}" torch' in said) != has_gpu
    assert said.rstrip().endswith("/nowhere/venv/bin/duibi")


def test_another_index_is_named_and_none_means_the_usual_one() -> None:
    assert '--index-url "http://mirror/simple" torch' in commands(
        "TORCH_INDEX=http://mirror/simple"
    )
    assert '[ -n "" ]' in commands("TORCH_INDEX=")


def test_a_torch_that_is_there_is_used_without_its_pin() -> None:
    said = commands("TORCH=installed")
    assert "-m venv --system-site-packages" in said and "index versions" not in said
    assert "grep -v '^torch==' constraints.txt" in said


def test_an_environment_that_was_moved_with_its_clone_is_made_again(tmp_path: Path) -> None:
    here, moved = tmp_path / "a folder", tmp_path / "another"
    (here / ".venv" / "bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(ROOT / name, here)
    # As pip writes it where the name of a folder has a space.
    script = f"#!/bin/sh\n'''exec' \"{here}/.venv/bin/python3\" \"$0\" \"$@\"\n' '''\n"
    (here / ".venv" / "bin" / "duibi").write_text(script)
    (here / ".venv" / ".ready").touch()
    asked = ["make", "--no-print-directory", "--dry-run", "run", "VENV=.venv"]

    def said(folder: Path) -> list[str]:
        done = subprocess.run(asked, capture_output=True, text=True, cwd=folder, check=True)
        return done.stdout.splitlines()

    assert said(here) == [".venv/bin/duibi"]
    here.rename(moved)
    assert "was moved" in said(moved)[0] and said(moved)[1] == "rm -rf .venv"
    assert "python3 -m venv .venv" in said(moved)
