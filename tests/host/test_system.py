"""What is done where a system has not what Linux has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support.fault_server import FaultServer, good_answer
from tests.support.commands import run_with
from tests.support.lesser_system import lesser_system
from tests.support.small_gguf import write_gguf
from tui.host import memory, paths, process, system

ENGLISH = str(paths.bundled("sessions") / "english.duibi")


def test_the_core_runs_without_what_only_linux_has(tmp_path: Path) -> None:
    with FaultServer(good_answer("Paris", ".")) as server:
        lines = [
            ["replay", ENGLISH, "--plain", "--speed", "max"],
            ["report", ENGLISH, "--out", "report.html"],
            ["run", f"{server.url}#m", "--questions", "smoke"],
            ["score", "last"],
            ["sessions", "verify", "last"],
            ["doctor"],
        ]
        statuses, said, err = run_with(lesser_system(tmp_path / "lesser"), tmp_path, *lines)
    assert statuses == [0] * len(lines), f"{said}\n{err}"
    assert "torch's" in said[-1] and "Traceback" not in err


def test_sandboxes_need_no_limit_of_the_address_space(tmp_path: Path) -> None:
    code = (
        "import resource, sys\n"
        "from tui.scoring.sandbox import run_jobs\n"
        "from tui.host.sandboxed_template import SandboxedTemplate\n"
        "assert sys.platform == 'darwin'\n"
        "print(run_jobs([('regex', 'Par[i]s', 'Paris'), ('python', '', 'x = 1')]))\n"
        "print(SandboxedTemplate('{{ a }}!').render({'a': 'well'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | lesser_system(tmp_path / "lesser"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout.splitlines() == ["['passed', 'passed']", "well!"], done.stderr


def test_a_gguf_file_answers_without_what_only_linux_has(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = str(write_gguf(tmp_path / "tiny.gguf"))
    line = ["run", file, "--questions", "smoke", "--max-new-tokens", "4"]
    statuses, said, err = run_with(lesser_system(tmp_path / "lesser"), tmp_path, line)
    assert statuses == [0], f"{said}\n{err}"


def test_psutil_tells_of_processes_and_memory_what_proc_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = os.getpid()
    by_proc = process.read_stat(own)
    assert by_proc is not None
    monkeypatch.setattr(system, "HAS_PROC", False)
    told = process.read_stat(own)
    assert told is not None
    assert (told.name, told.parent) == (by_proc.name, by_proc.parent)
    assert told.cpu_s == pytest.approx(by_proc.cpu_s, abs=5)
    assert own in process.process_tree(os.getppid())
    assert memory.process_memory(own)[0] > 1 << 20
    total, used = system.machine_memory()
    assert 0 < used < total
    assert process.read_stat(1 << 30) is None and memory.process_memory(1 << 30) == (0, 0)


def test_windows_is_told_where_it_runs() -> None:
    code = "import sys; sys.platform = 'win32'; import tui.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "WSL" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
