"""Limits as containers really lay them out, from trees of small files."""

import os
from pathlib import Path

import pytest

from tui.host import cgroup, cpu, memory
from tui.host.errors import UserError

G = 1 << 30
V2 = "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1_MEMORY = "35 31 0:32 {start} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
V1_CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
NONE_V1 = "9223372036854771712"


def lay(root: Path, files: dict[str, object]) -> Path:
    machine: dict[str, object] = {
        "proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 60000000 kB\n"
    }
    for name, content in (machine | files).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_version_2_takes_the_lowest_of_all_ancestors_and_of_high(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/pod/box/memory.max": "max",
            "sys/fs/cgroup/pod/box/memory.high": "max",
            "sys/fs/cgroup/pod/memory.max": 32 * G,
            "sys/fs/cgroup/pod/memory.high": 30 * G,
            "sys/fs/cgroup/pod/memory.current": 20 * G,
            "sys/fs/cgroup/pod/memory.stat": f"anon 1\nactive_file {4 * G}\ninactive_file {5 * G}",
            "sys/fs/cgroup/pod/box/memory.current": 3 * G,
        },
    )
    seen = memory.read_memory(root)
    assert (seen.limit, seen.used, seen.source) == (30 * G, 11 * G, "cgroup v2")
    assert seen.free == 19 * G


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/memory.max": 8 * G,
            "sys/fs/cgroup/memory.current": 2 * G,
            "sys/fs/cgroup/memory.stat": f"active_file {G}\ninactive_file {3 * G}",
        },
    )
    assert memory.read_memory(root) == memory.MemoryReading(8 * G, 0, "cgroup v2")


@pytest.mark.parametrize("start", ["/", "/docker/abc"])
def test_version_1_with_and_without_a_namespace(tmp_path: Path, start: str) -> None:
    base = "sys/fs/cgroup/memory/" + ("docker/abc" if start == "/" else "")
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n0::/",
            "proc/self/mountinfo": V1_MEMORY.format(start=start),
            f"{base}/memory.limit_in_bytes": 16 * G,
            f"{base}/memory.usage_in_bytes": 10 * G,
            f"{base}/memory.stat": f"hierarchical_memory_limit {12 * G}\n"
            f"active_file 7\ntotal_active_file {G}\ntotal_inactive_file {2 * G}",
        },
    )
    assert memory.read_memory(root) == memory.MemoryReading(12 * G, 7 * G, "cgroup v1")


def test_no_limit_is_the_machine(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/",
            "proc/self/mountinfo": V1_MEMORY.format(start="/"),
            "sys/fs/cgroup/memory/memory.limit_in_bytes": NONE_V1,
            "sys/fs/cgroup/memory/memory.stat": f"hierarchical_memory_limit {NONE_V1}",
        },
    )
    seen = memory.read_memory(root)
    assert (seen.limit, seen.source) == (64 * G, "machine")
    assert seen.used == (67108864 - 60000000) * 1024


def test_a_limit_above_the_machine_is_none(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/a/memory.max": 100 * G,
        },
    )
    assert memory.read_memory(root).source == "machine"


def test_the_hybrid_layout_uses_the_version_that_has_the_controller(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n0::/box",
            "proc/self/mountinfo": V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
            + V1_MEMORY.format(start="/")
            + V1_CPU,
            "sys/fs/cgroup/unified/box/cgroup.procs": "",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": 4 * G,
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": 350_000,
            "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": 100_000,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": -1,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": 100_000,
        },
    )
    assert memory.read_memory(root).limit == 4 * G
    assert cpu.quota(root) == 3.5


def test_cores_by_version_2_quota_of_an_ancestor(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            "sys/fs/cgroup/a/cpu.max": "150000 100000",
        },
    )
    assert cpu.quota(root) == 1.5


def test_a_group_that_climbs_out_of_its_mount_reads_the_mount(tmp_path: Path) -> None:
    root = lay(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../other",
            "proc/self/mountinfo": V2,
            "sys/fs/cgroup/memory.max": 2 * G,
        },
    )
    found = cgroup.find_groups("memory", "memory.max", root)
    assert found and found.folders == (root / "sys/fs/cgroup",)


def test_nothing_readable_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert memory.read_memory(tmp_path) == memory.MemoryReading(0, 0, "machine")
    assert cpu.quota(tmp_path) is None
    assert memory.pressure(tmp_path) is None
    assert memory.process_memory(1, tmp_path) == (0, 0)


def test_the_own_budget_counts_this_process_and_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "1.5 GiB")
    before = memory.read_memory()
    assert (before.limit, before.source) == (3 * G // 2, "DUIBI_MEMORY_LIMIT")
    ballast = bytearray(os.urandom(1 << 20) * 64)
    assert 60 << 20 < memory.used() - before.used < 80 << 20
    del ballast
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "1000T")
    assert memory.read_memory().source != "DUIBI_MEMORY_LIMIT"


@pytest.mark.parametrize("text", ["12GB too much", "-1", "0", "G", "1e9"])
def test_a_limit_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", text)
    with pytest.raises(UserError, match="DUIBI_MEMORY_LIMIT"):
        memory.limit()


def test_sizes() -> None:
    for text, size in (("12G", 12 * G), ("512 MiB", 1 << 29), ("1073741824", G), ("1.5k", 1536)):
        assert memory.parse_size(text, "x") == size


def test_this_machine() -> None:
    private, mapped = memory.process_memory(os.getpid())
    assert private > 1 << 20
    assert mapped > 1 << 20
    assert 0 < memory.used() < memory.limit()
    assert 1 <= cpu.cores() <= (os.cpu_count() or 1)
    assert cpu.describe()["model"]


def test_a_few_rows_are_read_as_the_whole_table_is(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("Name:\tx RssAnon: 1\nRssAnonHuge: 7 kB\nRssAnon:\t   12 kB\nnone: max\nlast 5")
    table = cgroup.read_table(file)
    names: tuple[str, ...] = ("RssAnon", "RssAnonHuge", "last", "none", "absent")
    assert cgroup.read_rows(file, *names) == tuple(table.get(name, 0) for name in names)
    assert cgroup.read_rows(tmp_path / "absent", "last") == (0,)
    for path in (Path("/proc/self/status"), Path("/proc/meminfo")):
        table = cgroup.read_table(path)
        names = tuple(name for name in table if name.startswith(("Swap", "Threads", "MemTotal")))
        assert cgroup.read_rows(path, *names) == tuple(table[name] for name in names)


def test_a_budget_is_found_again_sooner_than_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = memory.find_gauge().renewed_after_s
    monkeypatch.setenv("DUIBI_MEMORY_LIMIT", "1 GiB")
    assert memory.find_gauge().renewed_after_s < limit
