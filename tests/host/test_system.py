"""What is done where a system has not what Linux has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.support import tiny
from benchmarks.support.fault_server import FaultServer, good_answer
from tests.support.commands import run_with
from tests.support.lesser_system import lesser_system, on_a_lesser_system
from tests.support.small_gguf import write_gguf
from tui.host import memory, paths, process, system
from tui.scoring import sandbox

ENGLISH = str(paths.bundled("sessions") / "english.duibi")


def run_on_a_lesser_system(folder: Path, *lines: list[str]) -> tuple[list[int], list[str], str]:
    """As `run_with`; what takes Linux's parts away lies outside of the current folder, out of
    which children would not take it."""
    here = folder / "here"
    here.mkdir()
    return run_with(lesser_system(folder / "lesser"), here, *lines)


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
        statuses, said, err = run_on_a_lesser_system(tmp_path, *lines)
    assert statuses == [0] * len(lines), f"{said}\n{err}"
    assert "torch's" in said[-1] and "Traceback" not in err


def test_the_sandbox_of_templates_needs_no_limit_of_the_address_space(tmp_path: Path) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    code = (
        "import resource, sys\n"
        "from tui.host.sandboxed_template import SandboxedTemplate, TemplateFailedError\n"
        "assert sys.platform == 'darwin'\n"
        "print(SandboxedTemplate('{{ a }}!').render({'a': 'well'}))\n"
        "try:\n"
        f"    SandboxedTemplate({endless!r}).render({{}})\n"
        "except TemplateFailedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | lesser_system(tmp_path / "lesser"),
        capture_output=True,
        text=True,
        timeout=100,
    )
    said = ["well!", "takes too long or too much memory"]
    assert done.stdout.splitlines() == said, done.stderr


def test_the_sandbox_of_patterns_needs_no_limit_of_the_address_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        ("regex", "Par[i]s", "Paris"),
        ("regex", "(a+)+$", "a" * 40 + "!"),
        ("python", "", "x = 1"),
        ("python", "", "(" * 100_000),
    ]
    # It has no variables that say what Python runs first.
    monkeypatch.setattr(sandbox, "_CHILD", on_a_lesser_system(sandbox._CHILD, tmp_path))
    ended = [sandbox.PASSED, sandbox.TIMED_OUT, sandbox.PASSED, sandbox.NOT_PASSED]
    assert sandbox.run_jobs(jobs) == ended


def test_a_checkpoint_answers_without_what_only_linux_has(tmp_path: Path) -> None:
    model = tiny.write_llama(tmp_path / "tiny")
    models = [f"{model}@{dtype}" for dtype in ("bf16", "int8")]
    sizes = ["--prompt", "16", "--new", "4", "--repeat", "1", "--batch", "1"]
    line = ["bench", *models, *sizes, "--json"]
    statuses, (said,), err = run_on_a_lesser_system(tmp_path, line)
    assert statuses == [0], f"{said}\n{err}"
    results = json.loads(said)["results"]
    assert len(results) == len(models)
    # By psutil, as there is no other to tell.
    assert all(one["kernels"] == "torch" and one["peak_private"] > 1 << 20 for one in results)


def test_a_gguf_file_answers_without_what_only_linux_has(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    file = str(write_gguf(tmp_path / "tiny.gguf"))
    line = ["run", file, "--questions", "smoke", "--max-new-tokens", "4"]
    statuses, said, err = run_on_a_lesser_system(tmp_path, line)
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


@pytest.mark.parametrize(
    ("lesser", "wanted"),
    [("platform = 'win32'", "WSL"), ("version_info = (3, 10, 13)", "Python 3.11")],
)
def test_windows_and_an_old_python_are_told_what_is_needed(lesser: str, wanted: str) -> None:
    code = f"import sys; sys.{lesser}; import tui.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and wanted in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
