"""Which format a model gets when nobody names one."""

from pathlib import Path

import pytest

from tests.support import tiny
from tui.checkpoints.memory_estimate import Shape
from tui.host import memory
from tui.host.memory import Reading
from tui.models import default_dtype
from tui.models.reference import parse
from tui.models.resolve import resolve

GB = 1_000_000_000
QWEN = 7_721_324_544, Shape(32, 32, 128, 4096, 11008, 151936, False, "bf16")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A CPU with VNNI, no GPU, and 64 GB."""
    monkeypatch.setattr(default_dtype, "_multiplies_bytes", lambda: True)
    monkeypatch.setattr(default_dtype, "_computes_on_gpu", lambda: False)
    monkeypatch.setattr(memory, "reading", lambda: Reading(64 * GB, 0, "cgroup v2"))
    return monkeypatch


def test_large_models_get_int8_where_bytes_are_multiplied(machine: pytest.MonkeyPatch) -> None:
    assert default_dtype.chosen(*QWEN) == "int8"
    assert default_dtype.chosen(default_dtype.LARGE - 1, Shape(24, 2, 64)) == "bf16"
    machine.setattr(default_dtype, "_multiplies_bytes", lambda: False)
    assert default_dtype.chosen(*QWEN) == "bf16"


def test_what_does_not_fit_gets_the_next_smaller_format(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(memory, "reading", lambda: Reading(9 * GB, 0, "cgroup v2"))
    assert default_dtype.chosen(*QWEN) == "int4"
    machine.setattr(memory, "reading", lambda: Reading(2 * GB, 0, "cgroup v2"))
    assert default_dtype.chosen(*QWEN) == "int8", "it is refused, with what would fit"
    assert default_dtype.chosen(900_000_000, Shape(24, 2, 64)) == "int8"


def test_a_gpu_computes_in_bf16(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(default_dtype, "_computes_on_gpu", lambda: True)
    assert default_dtype.chosen(*QWEN) == "bf16"


def test_it_is_said_and_a_named_format_is_kept(machine: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine.setattr(default_dtype, "LARGE", 1)
    folder = tiny.llama(tmp_path / "tiny")
    made, named = (
        resolve(parse(f"{folder}{dtype}"), lambda text: False, lambda stage, done, total: None)
        for dtype in ("", "@fp32")
    )
    assert (made.dtype, made.label, made.chosen) == ("int8", "tiny@int8", True)
    assert "@bf16" in default_dtype.remark(made.dtype) and not default_dtype.remark("bf16")
    assert (named.dtype, named.label, named.chosen) == ("fp32", "tiny@fp32", False)
