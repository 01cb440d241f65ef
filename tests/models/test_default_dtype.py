"""Which format a model gets when nobody names one."""

from pathlib import Path

import pytest

from benchmarks.support import tiny
from tui.checkpoints.memory_estimate import MemoryShape
from tui.host import memory
from tui.host.memory import MemoryReading
from tui.models import default_dtype
from tui.models.reference import parse_reference
from tui.models.resolve import resolve

GB = 1_000_000_000
QWEN = 7_721_324_544, MemoryShape(32, 32, 128, 4096, 11008, 151936, False, "bf16")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A CPU with VNNI, no GPU, and 64 GB."""
    monkeypatch.setattr(default_dtype, "_has_vnni", lambda: True)
    monkeypatch.setattr(default_dtype, "_has_gpu", lambda: False)
    monkeypatch.setattr(memory, "read_memory", lambda: MemoryReading(64 * GB, 0, "cgroup v2"))
    return monkeypatch


def test_large_models_get_int8_where_bytes_are_multiplied(machine: pytest.MonkeyPatch) -> None:
    assert default_dtype.choose_dtype(*QWEN) == "int8"
    assert (
        default_dtype.choose_dtype(default_dtype.LARGE_MODEL - 1, MemoryShape(24, 2, 64)) == "bf16"
    )
    machine.setattr(default_dtype, "_has_vnni", lambda: False)
    assert default_dtype.choose_dtype(*QWEN) == "bf16"


def test_what_does_not_fit_gets_the_next_smaller_format(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(memory, "read_memory", lambda: MemoryReading(9 * GB, 0, "cgroup v2"))
    assert default_dtype.choose_dtype(*QWEN) == "int4"
    machine.setattr(memory, "read_memory", lambda: MemoryReading(2 * GB, 0, "cgroup v2"))
    assert default_dtype.choose_dtype(*QWEN) == "int8", "it is refused, with what would fit"
    assert default_dtype.choose_dtype(900_000_000, MemoryShape(24, 2, 64)) == "int8"


def test_a_gpu_computes_in_bf16(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(default_dtype, "_has_gpu", lambda: True)
    assert default_dtype.choose_dtype(*QWEN) == "bf16"


def test_it_is_said_and_a_named_format_is_kept(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine.setattr(default_dtype, "LARGE_MODEL", 1)
    folder = tiny.write_llama(tmp_path / "tiny")
    made, named = (
        resolve(
            parse_reference(f"{folder}{dtype}"), lambda text: False, lambda stage, done, total: None
        )
        for dtype in ("", "@fp32")
    )
    assert (made.dtype, made.label, made.has_default_dtype) == ("int8", "tiny@int8", True)
    assert "@bf16" in default_dtype.choice_remark(made.dtype) and not default_dtype.choice_remark(
        "bf16"
    )
    assert (named.dtype, named.label, named.has_default_dtype) == ("fp32", "tiny@fp32", False)
