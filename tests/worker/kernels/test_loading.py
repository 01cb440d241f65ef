"""Where the kernels come from: the program, the cache, a compiler; and what is done where one of
them is of no use."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import disks
from tests.support.kernels import needs_kernels
from tests.support.waiting import process_gone, until
from tui.host import cpu, kernel_compiler, kernel_library
from tui.host.instruction_sets import INSTRUCTION_SETS, SCALAR
from tui.worker.kernels import build

pytestmark = needs_kernels

HERE = [one for one in INSTRUCTION_SETS if one.needs <= cpu.flags()]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
GCC = shutil.which("gcc") or "gcc"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache."""
    monkeypatch.setattr(build, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    build._try_load.cache_clear()
    yield tmp_path
    build._try_load.cache_clear()


@pytest.fixture
def one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the sources is all: how they are compiled is the question, not what they compute."""
    place = tmp_path / "sources"
    place.mkdir()
    for path in (*kernel_compiler.SOURCES.glob("*.h"), kernel_compiler.SOURCES / "pack.c"):
        shutil.copy2(path, place)
    monkeypatch.setattr(kernel_compiler, "SOURCES", place)


@pytest.fixture
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not make the best of them."""
    monkeypatch.setattr(kernel_compiler, "FLAGS", ("-O0", *kernel_compiler.FLAGS[1:]))


@pytest.fixture(scope="module")
def made(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for the best instruction set, as it was compiled for all tests."""
    assert build._cached_library(kernels, HERE[0], kernel_compiler.deadline())
    name = kernel_compiler.library_file_name(HERE[0])
    return Path(shutil.copy2(kernels / name, tmp_path_factory.mktemp("made")))


@pytest.fixture
def kept(cache: Path, made: Path) -> Path:
    """The same in the cache."""
    folder = cache / "kernels"
    folder.mkdir(mode=0o700)
    shutil.copy2(made, folder)
    return folder / made.name


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, made: Path) -> list[Path]:
    """Where a library was compiled to, copied instead of made again."""
    found: list[Path] = []

    def copy(compiler: str, place: Path, variant: Any, until: float) -> None:
        assert place.name == made.name
        found.append(place)
        shutil.copy2(made, place)

    monkeypatch.setattr(kernel_compiler, "compile_library", copy)
    return found


def mapped(library: Any) -> str:
    """The file that the library's code was mapped from."""
    address = ctypes.cast(library.duibi_struct_size, ctypes.c_void_p).value or 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, rest = line.partition("-")
        if int(start, 16) <= address < int(rest.split()[0], 16):
            return line.split(maxsplit=5)[5]
    raise AssertionError("mapped from nowhere")


def test_a_kept_library_is_loaded_and_no_compiler_called(kept: Path, compiled: list[Path]) -> None:
    found = build._load_library()
    assert (mapped(found), compiled, found.uncached) == (str(kept), [], "")


def test_the_first_load_compiles_says_so_and_keeps_it(cache: Path, compiled: list[Path]) -> None:
    told: list[str] = []
    build.prepare(lambda: told.append("compiling"))
    build.prepare(lambda: told.append("again"))
    assert (told, len(compiled)) == (["compiling"], 1)
    assert [path.name for path in (cache / "kernels").iterdir()] == [compiled[0].name]
    assert (cache / "kernels").stat().st_mode & 0o777 == 0o700
    assert (build.variant_name(), build.remark()) == (HERE[0].name, "")


@pytest.mark.usefixtures("one_source")
def test_what_is_compiled_can_be_written_by_its_user_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        place = tmp_path / "open.so"
        kernel_compiler.compile_library(GCC, place, HERE[-1], kernel_compiler.deadline())
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o700


def plant_link(kept: Path) -> None:
    other = kept.parent.parent / "elsewhere.so"
    kept.rename(other)
    kept.symlink_to(other)


def plant_folder(kept: Path) -> None:
    kept.unlink()
    kept.mkdir(mode=0o700)


PLANTED: dict[str, Callable[[Path], object]] = {
    "link": plant_link,
    "folder": plant_folder,
    "writable": lambda kept: kept.chmod(0o777),
    "cut short": lambda kept: kept.write_bytes(kept.read_bytes()[:5000]),
    "empty": lambda kept: kept.write_bytes(b""),
    "damaged": lambda kept: kept.write_bytes(kept.read_bytes().replace(b"GOMP", b"GOMQ", 1)),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_library_that_may_be_anothers_or_is_damaged_is_compiled_anew(
    plant: Callable[[Path], object], kept: Path, compiled: list[Path]
) -> None:
    plant(kept)
    found = build._load_library()
    assert len(compiled) == 1 and found.uncached == ""
    assert "elsewhere" not in mapped(found)
    assert kept.is_dir() or (kept.stat().st_mode & 0o777, kept.is_symlink()) == (0o700, False)


@needs_root
def test_a_library_of_another_user_is_compiled_anew(kept: Path, compiled: list[Path]) -> None:
    os.chown(kept, 12345, 12345)
    found = build._load_library()
    assert len(compiled) == 1 and kept.stat().st_uid == 0 and found.uncached == ""


def test_compilers_that_fail_late_have_one_limit_together(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would take its whole time, and once more for each instruction set."""
    limits: list[float] = []

    def fail(compiler: str, place: Path, variant: Any, until: float) -> None:
        limits.append(until)
        raise kernel_compiler.CompilerError("it could not")

    monkeypatch.setattr(kernel_compiler, "compile_library", fail)
    monkeypatch.setattr(kernel_compiler, "compilers", lambda: ["gcc", "clang"])
    monkeypatch.setattr(kernel_compiler, "PREBUILT", cache)
    with pytest.raises(build.KernelsUnavailableError, match="it could not"):
        build._load_library()
    assert len(limits) == 2 * len(HERE) and len(set(limits)) == 1


@pytest.mark.parametrize("place", ["theirs", "open", "none", "kept", "damaged"])
def test_what_is_foretold_of_the_cache_is_what_the_worker_finds(
    kept: Path, compiled: list[Path], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_library, "cache_dir", lambda: kept.parents[1])
    if place == "theirs":
        if os.geteuid():
            pytest.skip("giving a file away needs root")
        os.chown(kept.parent, 12345, 12345)
    elif place == "open":
        kept.parent.chmod(0o777)
    elif place == "none":
        kept.unlink()
    elif place == "damaged":
        kept.write_bytes(kept.read_bytes()[:-1])
    foretold, why = kernel_library.origin(HERE[0])
    assert foretold == ("cache" if place == "kept" else "")
    assert why == build._load_library().uncached
    assert bool(why) == (place in ("theirs", "open")) and len(compiled) == (place != "kept")


@needs_root
def test_in_a_folder_of_another_user_nothing_is_loaded_or_kept(
    kept: Path, compiled: list[Path]
) -> None:
    os.chown(kept.parent, 12345, 12345)
    found = build._load_library()
    assert found.uncached == f"{kept.parent} belongs to another user"
    assert str(kept.parent) not in mapped(found) and not compiled[0].exists()


def test_in_a_folder_that_others_can_write_to_nothing_is_loaded_or_kept(
    kept: Path, compiled: list[Path]
) -> None:
    kept.parent.chmod(0o777)
    assert build.variant_name() == HERE[0].name
    assert build.remark() == f"compiled at every start: others can write to {kept.parent}"
    assert str(kept.parent) not in str(compiled[0])


def test_a_cache_that_runs_no_programs_is_left_alone_and_said(
    cache: Path, compiled: list[Path]
) -> None:
    with disks.mounted("-t", "tmpfs", "-o", "size=4m,noexec,mode=0700", "tmpfs") as disk:
        if disk is None:
            pytest.skip("a file system cannot be mounted here")
        (cache / "kernels").symlink_to(disk)
        found = build._load_library()
        assert found.uncached == f"{cache}/kernels is on a disk that runs no programs (noexec)"
        assert list(disk.iterdir()) == [] and len(compiled) == 1


def test_a_cache_that_cannot_be_written_gives_what_it_has(
    cache: Path, made: Path, compiled: list[Path]
) -> None:
    with disks.mounted("-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs") as disk:
        if disk is None:
            pytest.skip("a file system cannot be mounted here")
        (cache / "kernels").symlink_to(disk)
        shutil.copy2(made, disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        found = build._load_library()
        assert (found.uncached, compiled) == ("", [])
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        (disk / made.name).rename(disk / "other.so")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        found = build._load_library()
        assert found.uncached == f"{cache}/kernels cannot be used (Read-only file system)"
        assert len(compiled) == 1


def test_of_two_that_come_together_one_compiles(
    cache: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def copy(compiler: str, place: Path, variant: Any, until: float) -> None:
        compiled.append(place)
        time.sleep(0.3)
        shutil.copy2(made, place)

    monkeypatch.setattr(kernel_compiler, "compile_library", copy)
    with ThreadPoolExecutor(2) as pool:
        # Each has its own descriptor of the folder, as two processes have.
        given = (cache / "kernels", HERE[0], kernel_compiler.deadline())
        waits = [pool.submit(build._cached_library, *given) for _ in range(2)]
        assert all(isinstance(one.result(), ctypes.CDLL) for one in waits)
    assert len(compiled) == 1


def test_a_cache_that_cannot_be_made_is_said(cache: Path, compiled: list[Path]) -> None:
    (cache / "kernels").write_text("")
    assert "cannot be used (" in build._load_library().uncached


def test_a_full_disk_is_said_and_the_compiler_not_blamed(
    cache: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(compiler: str, place: Path, variant: Any, until: float) -> None:
        try:
            shutil.copy2(made, place)
        except OSError:
            raise kernel_compiler.CompilerError("gcc could not compile them") from None

    monkeypatch.setattr(kernel_compiler, "compile_library", copy)
    with disks.mounted("-t", "tmpfs", "-o", "size=8k,mode=0700", "tmpfs") as disk:
        if disk is None:
            pytest.skip("a file system cannot be mounted here")
        (cache / "kernels").symlink_to(disk)
        assert build._load_library().uncached == f"{cache}/kernels is full"


def test_one_openmp_is_in_the_process(made: Path) -> None:
    """The library names none: it takes the one that torch has loaded."""
    dynamic = made.read_bytes()
    assert b"GOMP_parallel" in dynamic and b"libgomp" not in dynamic
    # In a process of its own: other tests load libraries that bring an OpenMP of their own.
    program = f"""
import ctypes, torch
ctypes.CDLL({str(made)!r})
maps = open("/proc/self/maps").read().splitlines()
print(len({{line.split()[-1] for line in maps if "libgomp" in line or "libomp" in line}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1"]


@pytest.mark.usefixtures("one_source")
def test_a_compiler_that_is_set_to_this_cpu_makes_the_same_bytes(tmp_path: Path) -> None:
    """Two machines may share one home folder, and the compiler of one be told -march=native."""
    native = tmp_path / "gcc"
    native.write_text(f'#!/bin/sh\nexec {GCC} -march=native -mtune=native "$@"\n')
    native.chmod(0o755)
    made = []
    for name, compiler in (("usual", GCC), ("native", str(native))):
        (tmp_path / name).mkdir()
        # The linker writes no path into what it makes, but objects name their source.
        place = tmp_path / name / "kernels.so"
        kernel_compiler.compile_library(compiler, place, HERE[-1], kernel_compiler.deadline())
        made.append(place.read_bytes())
    assert made[0] == made[1]


def test_each_instruction_set_of_each_machine_has_a_library_of_its_own() -> None:
    both = [one for sets in (INSTRUCTION_SETS, [SCALAR]) for one in sets]
    both += [one._replace(machine="riscv64") for one in both]
    assert len({kernel_compiler.library_file_name(one) for one in both}) == len(both)


def test_a_library_that_came_with_the_program_is_taken_before_the_cache(
    cache: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_compiler, "PREBUILT", made.parent)
    monkeypatch.setenv("PATH", "/nowhere")
    assert mapped(build._load_library()) == str(made)
    assert not (cache / "kernels").exists()


def test_of_another_version_it_is_not_taken(
    cache: Path, compiled: list[Path], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prebuilt = tmp_path / "prebuilt"
    prebuilt.mkdir()
    shutil.copy(made, prebuilt / "0123456789abcdef01234567.so")
    monkeypatch.setattr(kernel_compiler, "PREBUILT", prebuilt)
    assert mapped(build._load_library()) == str(cache / "kernels" / made.name)


@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.skipif(HERE[-1].name != "AVX2", reason="a CPU of another kind")
def test_a_compiler_that_is_too_old_for_the_best_gets_the_next(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = cache / "bin" / "gcc"
    fake(old.parent, "gcc", f'case "$*" in *-mavx512*|*-mavxvnni*) exit 1;; esac; exec {GCC} "$@"')
    # What cannot be compiled is not loaded: this CPU need not have it.
    every = frozenset().union(*(one.needs for one in INSTRUCTION_SETS if one.machine == "x86_64"))
    monkeypatch.setattr(cpu, "flags", lambda: every)
    monkeypatch.setattr(kernel_compiler, "_COMPILERS", (str(old),))
    assert build._load_library().variant == "AVX2"


def fake(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("quick_compiler")
def test_after_a_compiler_that_fails_the_next_is_asked(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache / "bin"
    fake(folder, "gcc", "exit 1")
    fake(folder, "cc", f'exec {GCC} "$@"')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert build._load_library().uncached == ""
    fake(folder, "cc", 'while [ "$1" != -o ]; do shift; done; echo GOMP_parallel > "$2"')
    shutil.rmtree(cache / "kernels")
    monkeypatch.setattr(kernel_compiler, "_COMPILERS", ("cc", "gcc"))
    with pytest.raises(build.KernelsUnavailableError, match=r"what cc made cannot be loaded"):
        build._load_library()
    monkeypatch.setattr(kernel_compiler, "_COMPILERS", ("gcc",))
    with pytest.raises(build.KernelsUnavailableError, match="gcc could not compile them"):
        build._load_library()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(build.KernelsUnavailableError, match="there is no C compiler"):
        build._load_library()


@pytest.mark.usefixtures("one_source")
def test_a_compiler_for_another_openmp_is_told_from_one_that_fails(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As clang does where it has no OpenMP.
    fake(cache / "bin", "clang", f'exec {GCC} "$@" -fno-openmp')
    monkeypatch.setenv("PATH", f"{cache / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(kernel_compiler, "_COMPILERS", ("clang",))
    with pytest.raises(
        build.KernelsUnavailableError, match="clang compiles for another OpenMP than torch's"
    ):
        build._load_library()


def test_no_more_compilers_run_than_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def pool(workers: int) -> ThreadPoolExecutor:
        asked.append(workers)
        return ThreadPoolExecutor(workers)

    def compiled(_until: float, command: Sequence[str]) -> None:
        (tmp_path / "made.so").write_bytes(b"GOMP_parallel")

    monkeypatch.setattr(kernel_compiler, "ThreadPoolExecutor", pool)
    monkeypatch.setattr(kernel_compiler, "_run", compiled)
    for cores, most in ((2, 2), (64, len(list(kernel_compiler.SOURCES.glob("*.c"))))):
        monkeypatch.setattr(cpu, "cores", lambda cores=cores: cores)
        kernel_compiler.compile_library(
            "gcc", tmp_path / "made.so", HERE[0], kernel_compiler.deadline()
        )
        assert asked.pop() == most


def test_a_compiler_that_hangs_is_waited_for_once_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cache / "left"
    # As gcc does, it waits for another program.
    fake(cache / "bin", "gcc", f"sleep 1000 & echo $! >> {left}; wait")
    every = frozenset().union(*(one.needs for one in INSTRUCTION_SETS))
    monkeypatch.setattr(cpu, "flags", lambda: every)
    monkeypatch.setattr(kernel_compiler, "_SILENCE_S", 1)
    monkeypatch.setenv("PATH", f"{cache / 'bin'}:/usr/bin:/bin")
    with pytest.raises(build.KernelsUnavailableError, match="gcc took too long to compile them"):
        build._load_library()
    started = [int(line) for line in left.read_text().split()]
    # Not for each source, instruction set and compiler again.
    assert 0 < len(started) <= cpu.cores()
    until(lambda: all(process_gone(pid) for pid in started))


@pytest.mark.usefixtures("one_source", "quick_compiler")
def test_a_compiler_may_say_anything_and_leave_a_program_behind(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake(
        cache / "bin",
        "gcc",
        f"yes 'warning \\377' | head -c 8000000 >&2; sleep 4 & exec {GCC} \"$@\"",
    )
    monkeypatch.setenv("PATH", f"{cache / 'bin'}:/usr/bin:/bin")
    place, compiler = cache / "made.so", str(cache / "bin" / "gcc")
    kernel_compiler.compile_library(compiler, place, HERE[-1], kernel_compiler.deadline())
    assert kernel_compiler.is_whole(place.read_bytes())
    fake(cache / "bin", "gcc", "head -c 8000000 /dev/zero >&2; echo the end >&2; exit 1")
    with pytest.raises(kernel_compiler.CompilerError, match="the log says why"):
        kernel_compiler.compile_library(compiler, place, HERE[-1], kernel_compiler.deadline())
    said = capfd.readouterr().err
    assert said.endswith("the end\n\n") and len(said) < 10_000
