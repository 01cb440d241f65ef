"""Which format a model gets when nobody names one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.support import tiny
from tui.checkpoints.memory_estimate import MemoryShape
from tui.host import cpu, format_speeds, kernel_library, memory
from tui.host.format_speeds import FormatSpeeds
from tui.host.memory import MemoryReading
from tui.models import default_dtype
from tui.models.reference import parse_reference
from tui.models.resolve import resolve

GB = 1_000_000_000
QWEN = 7_721_324_544, MemoryShape(32, 32, 128, 4096, 11008, 151936, False, "bf16")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """No GPU, 64 GB, and nothing measured."""
    monkeypatch.setattr(default_dtype, "has_gpu", lambda: False)
    monkeypatch.setattr(memory, "read_memory", lambda: MemoryReading(64 * GB, 0, "cgroup v2"))
    format_speeds.place().unlink(missing_ok=True)
    default_dtype._this_machine.cache_clear()
    yield monkeypatch
    default_dtype._this_machine.cache_clear()


def measured(
    bf16: float, int8: float, int8_of_eight: float | None = None, in_prompts: float = 1.0
) -> None:
    """What was found of the formats: weights a second at one row and at eight, and how many times
    as fast int8 is in prompts."""
    many = 8 * bf16, int8_of_eight or 8 * int8
    found = {"bf16": {1: bf16, 8: many[0], 256: 1e9}, "int8": {1: int8, 8: many[1]}}
    found["int8"][256] = in_prompts * 1e9
    format_speeds.keep(FormatSpeeds("AVX2", "2026-11-29", found))
    default_dtype._this_machine.cache_clear()


def chosen(parameters: int) -> str:
    return default_dtype.choose_dtype(parameters, MemoryShape(24, 2, 64))


def test_unmeasured_large_models_get_int8(machine: pytest.MonkeyPatch) -> None:
    assert default_dtype.choose_dtype(*QWEN) == "int8"
    assert chosen(default_dtype.LARGE_MODEL) == chosen(500_000_000) == "int8"
    assert chosen(135_000_000) == "bf16"
    for flags, dtype in (({"avx2"}, "int8"), ({"avx2", "avx512_bf16"}, "bf16")):
        machine.setattr(kernel_library, "expected_variant", lambda: None)
        machine.setattr(cpu, "flags", lambda flags=flags: frozenset(flags))
        default_dtype._this_machine.cache_clear()
        assert default_dtype.choose_dtype(*QWEN) == dtype, "by torch's kernels"


def test_what_was_measured_decides(machine: pytest.MonkeyPatch) -> None:
    measured(6e9, 20e9)
    assert (chosen(500_000_000), chosen(250_000_000)) == ("int8", "bf16")
    measured(15e9, 30e9)
    assert (chosen(500_000_000), chosen(900_000_000)) == ("bf16", "int8")
    assert default_dtype.choose_dtype(*QWEN) == "int8"
    # Slower alone, and what it gains in a batch does not make up for it.
    measured(10e9, 5e9, 100e9)
    assert default_dtype.choose_dtype(*QWEN) == "bf16"
    measured(10e9, 5e9, 200e9)
    assert default_dtype.choose_dtype(*QWEN) == "int8"
    # What it loses in prompts is more than what it gains alone.
    measured(10e9, 18e9, 64e9, in_prompts=0.3)
    assert default_dtype.choose_dtype(*QWEN) == "bf16"
    machine.setattr(kernel_library, "expected_variant", lambda: None)
    assert format_speeds.read() == FormatSpeeds(), "with other kernels nothing is known"


def test_what_does_not_fit_gets_the_next_smaller_format(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(memory, "read_memory", lambda: MemoryReading(9 * GB, 0, "cgroup v2"))
    assert default_dtype.choose_dtype(*QWEN) == "int4"
    machine.setattr(memory, "read_memory", lambda: MemoryReading(2 * GB, 0, "cgroup v2"))
    assert default_dtype.choose_dtype(*QWEN) == "int8", "it is refused, with what would fit"
    assert chosen(900_000_000) == "int8"


def test_a_gpu_computes_in_bf16(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(default_dtype, "has_gpu", lambda: True)
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


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("gptq-int4", "int4"), ("awq-int4", "int4"), ("compressed-int4", "int4"), ("mxfp4", "int8"),
     ("gptq-act-order-int4", "int8"), ("fp8", "int8"), ("gptq-int8", "int8")],
)  # fmt: skip
def test_reduced_weights_are_computed_as_they_are_stored(
    machine: pytest.MonkeyPatch, stored: str, dtype: str
) -> None:
    shape = MemoryShape(32, 32, 128, 4096, 11008, 151936, False, stored)
    assert default_dtype.choose_dtype(7_000_000_000, shape) == dtype
    assert default_dtype.choose_dtype(100_000_000, shape) == dtype, "small ones too"
    assert stored in default_dtype.choice_remark(dtype, stored)
    machine.setattr(default_dtype, "has_gpu", lambda: True)
    assert default_dtype.choose_dtype(7_000_000_000, shape) == "bf16"
