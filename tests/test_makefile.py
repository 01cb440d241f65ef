"""Where `make` takes torch from, and what `make run` opens: its commands, not carried out."""

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
