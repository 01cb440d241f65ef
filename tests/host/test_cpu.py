"""What others take of the cores, read from files like those of the kernel."""

import os
import platform
from pathlib import Path

import pytest

from tui.host import cpu

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(cpu, "cores", lambda: 2)


def write(root: Path, busy: tuple[float, float], own: dict[int, float]) -> None:
    """Seconds that each core computed, and processes of ours."""
    (root / "proc").mkdir(exist_ok=True)
    cores = [f"cpu{n} {int(s * TICKS)} 0 0 9999 77 0 0 55 0 0" for n, s in enumerate(busy)]
    (root / "proc/stat").write_text("\n".join(["cpu 1 2 3", *cores, "cpu2 9 9 9", "intr 5"]))
    for pid, seconds in own.items():
        (root / f"proc/{pid}").mkdir(exist_ok=True)
        before = f"{pid} (a (b) c) S" + " 0" * 10
        (root / f"proc/{pid}/stat").write_text(f"{before} {int(seconds * TICKS)}" + " 0" * 40)


def test_only_what_is_not_ours_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 14.0, 16.0])
    monkeypatch.setattr("tui.host.cpu.time.monotonic", lambda: next(clock))
    others = cpu.OtherProcesses(tmp_path)
    write(tmp_path, (100, 50), {7: 20})
    assert others.cores_used([7]) == 0
    write(tmp_path, (102, 51), {7: 21})
    assert others.cores_used([7]) == pytest.approx(1.0)
    write(tmp_path, (104, 53), {7: 22, 8: 3})
    assert others.cores_used([7, 8]) == 0, "one of ours that is new has all its time from us"
    assert others.cores_used([7, 99]) == 0, "and one that is gone none"


def test_a_core_that_others_use_is_left_to_them() -> None:
    found = [cpu.free_cores(taken) for taken in (0, 0.2, 0.3, 1.2, 1.3, 9)]
    assert found == [2, 2, 1, 1, 1, 1]


def test_without_the_kernels_files_nobody_takes_anything(tmp_path: Path) -> None:
    others = cpu.OtherProcesses(tmp_path)
    assert [others.cores_used([1]), others.cores_used([1])] == [0, 0]


def test_flags_that_are_hidden_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nflags : avx2 fma avx_vnni\n")
    assert cpu.flags(tmp_path) == {"avx2", "fma", "avx_vnni"}
    monkeypatch.setenv("DUIBI_HIDE_CPU_FLAGS", "avx_vnni, avx512_vnni")
    assert cpu.flags(tmp_path) == {"avx2", "fma"}


def test_flags_of_another_machine_are_none_of_an_emulated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container for ARM on a PC, whose instructions its kernels must not use."""
    (tmp_path / "proc").mkdir()
    cpuinfo = tmp_path / "proc/cpuinfo"
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo.write_text("flags : avx2 fma avx_vnni\n")
    assert cpu.flags(tmp_path) == frozenset()
    cpuinfo.write_text("Features : asimd asimddp\n")
    assert cpu.flags(tmp_path) == {"asimd", "asimddp"}
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert cpu.flags(tmp_path) == frozenset()
