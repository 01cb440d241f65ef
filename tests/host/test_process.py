"""What a process is, read from files like those of the kernel, and from the kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import until
from tui.host.process import ProcessStat, process_tree, read_stat

TICKS = os.sysconf("SC_CLK_TCK")


def write(root: Path, pid: int, name: str, parent: int = 1) -> None:
    """The fields of proc_pid_stat(5), each with its own number where it is a number."""
    folder = root / f"proc/{pid}"
    folder.mkdir(parents=True)
    rest = " ".join(str(n * TICKS) for n in range(5, 53))
    (folder / "stat").write_text(f"{pid} ({name}) R {parent} {rest}\n")


@pytest.mark.parametrize("name", ["python", "a b", "a) S 9 (b", "((", ")", "", "名 字"])
def test_the_fields_are_found_behind_any_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, 7, name, parent=3)
    assert read_stat(7, tmp_path) == ProcessStat(name, "R", 3, 12 * TICKS, 14 + 15, 22)


def test_one_that_is_gone_has_none(tmp_path: Path) -> None:
    write(tmp_path, 7, "python")
    (tmp_path / "proc/7/stat").write_text("")
    assert read_stat(7, tmp_path) is read_stat(8, tmp_path) is read_stat(2**22 + 1) is None


def test_the_tree_is_found_whatever_processes_are_called(tmp_path: Path) -> None:
    for pid, name, parent in ((1, "init", 0), (2, "a) R 1 (", 1), (3, "b", 2), (4, "c", 3)):
        write(tmp_path, pid, name, parent)
    (tmp_path / "proc/self").mkdir()
    assert process_tree(2, tmp_path) == [2, 3, 4]


def test_the_kernel_writes_it_so() -> None:
    script = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'x) S (y'); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        until(lambda: (stat := read_stat(child.pid)) and stat.name == "x) S (y")
        stat = read_stat(child.pid)
        assert stat and stat.parent == os.getpid() and child.pid in process_tree(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert read_stat(child.pid) is None
