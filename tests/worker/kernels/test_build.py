"""How the kernels are built and loaded, and what they compute through the layers in Python."""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.kernels import needs_kernels
from tui.host import cpu, kernel_compiler
from tui.host.instruction_sets import INSTRUCTION_SETS
from tui.worker.decode import attention, buffered_cache
from tui.worker.kernels import abi, build
from tui.worker.quant import native_linear

pytestmark = needs_kernels

HERE = [one for one in INSTRUCTION_SETS if one.needs <= cpu.flags()]
OTHERS = [one for one in INSTRUCTION_SETS if one not in HERE and one.machine == platform.machine()]
TILED = [
    native_linear.NativeInt8Linear,
    native_linear.NativeInt6Linear,
    native_linear.NativeInt4Linear,
]

needs_two = pytest.mark.skipif(
    len(HERE) < 2, reason="comparing kernels needs a CPU with two of their instruction sets"
)


@pytest.fixture(autouse=True)
def still() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_num_threads(2)
    with torch.inference_mode():
        yield


@pytest.fixture(params=HERE, ids=lambda one: one.name)
def variant(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    use(request.param, monkeypatch)
    return request.param


def use(variant: Any, patch: pytest.MonkeyPatch) -> None:
    library = build._load_variant(variant, kernel_compiler.deadline())
    patch.setattr(build, "_try_load", lambda: (library, ""))


def weights(rows: int, columns: int) -> torch.Tensor:
    """Of very different size, with a row and a group of zeros."""
    made = torch.randn(rows, columns) ** 3
    made[7] = 0
    made[9, :32] = 0
    return made


def inputs(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns) * torch.logspace(-2, 2, rows)[:, None]


def layers() -> Iterator[tuple[str, Any, int]]:
    """Layers of every kind, of no whole number of tiles, with their packed bytes."""
    for columns in (64, 96, 1024):
        weight, bias = weights(101, columns), torch.randn(101)
        for kind in TILED:
            for importance in (None, torch.rand(columns) + 0.01):
                parts = kind.pack(weight, bias, importance)
                yield f"{kind.__name__} {columns}", kind(parts, 101), columns
        both = (weight.bfloat16(), bias), (weight[:50].bfloat16(), None)
        yield f"Plain {columns}", native_linear.NativeBf16Linear(*both), columns


def test_sums_of_the_largest_bytes_are_exact(variant: Any) -> None:
    sign = torch.tensor([1.0, -1.0]).repeat(32)
    for kind in TILED:
        for weight in (sign[:, None].expand(64, 1024), sign.repeat(16).expand(64, 1024)):
            layer = kind(kind.pack(weight.contiguous(), None), 64)
            for x in (torch.ones(5, 1024), -torch.ones(5, 1024), sign.repeat(16).expand(5, 1024)):
                wanted = x @ weight.t()
                assert float((layer(x).float() - wanted).abs().max()) <= 1024 / 256 * (
                    kind is native_linear.NativeInt4Linear
                )


def test_integers_are_those_of_the_plain_sum(variant: Any) -> None:
    # Whole numbers up to 127 on either side are their own bytes; bfloat16 holds what is asked.
    weight = torch.randint(-127, 128, (64, 32)).float()
    weight[:, 0] = 127
    x = torch.randint(-127, 128, (40, 32)).float()
    x[:, 1] = -127
    layer = native_linear.NativeInt8Linear(native_linear.NativeInt8Linear.pack(weight, None), 64)
    assert torch.equal(layer(x), (x @ weight.t()).bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_computed_as_it_would_be_alone(variant: Any, dtype: torch.dtype) -> None:
    for name, layer, columns in layers():
        for rows in range(2, 10):
            x = inputs(rows, columns)
            alone = torch.cat([layer(x[n : n + 1]) for n in range(rows)])
            assert torch.equal(layer(x), alone), (name, rows)
    for width in (48, 64):
        key, value = (torch.randn(1, 2, 90, width).to(dtype) for _ in range(2))
        late = [torch.randn(1, 2, buffered_cache.BUFFER_TOKENS, width).to(dtype) for _ in range(2)]
        query = torch.randn(1, 6, 9, width).to(dtype)

        def found(first: int, last: int, key: Any = key, value: Any = value) -> torch.Tensor:
            tail = [part[..., :last, :] for part in late]  # noqa: B023
            asked = query[:, :, first:last]  # noqa: B023
            return attention.attention_forward(None, asked, (key, tail[0]), (value, tail[1]), None)[
                0
            ]

        alone = torch.cat([found(n, n + 1) for n in range(9)], 1)
        assert torch.equal(found(0, 9), alone)


@pytest.mark.parametrize("other", OTHERS, ids=lambda one: one.name)
def test_what_this_cpu_cannot_run_is_compiled_nevertheless(
    other: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiler need not make the best of it.
    monkeypatch.setattr(kernel_compiler, "FLAGS", ("-O0", *kernel_compiler.FLAGS[1:]))
    assert isinstance(
        build._cached_library(tmp_path, other, kernel_compiler.deadline()), ctypes.CDLL
    )


@pytest.mark.parametrize(
    ("capability", "most"), [("AVX512", "AVX512"), ("AVX2", "AVX2"), ("DEFAULT", "")]
)
def test_no_more_is_used_than_torch_uses(
    capability: str, most: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = frozenset().union(*(one.needs for one in INSTRUCTION_SETS if one.machine == "x86_64"))
    monkeypatch.setattr(cpu, "flags", lambda: every)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    if not most:
        with pytest.raises(build.KernelsUnavailableError, match="torch keeps to DEFAULT here"):
            build._usable_variants()
        return
    assert build._usable_variants()[0].capability == most
    monkeypatch.setattr(cpu, "flags", lambda: every - {"avx512_vnni", "avx_vnni"})
    assert [one.name for one in build._usable_variants()] == ["AVX2"]
    monkeypatch.setattr(cpu, "flags", lambda: frozenset({"avx2"}))
    with pytest.raises(build.KernelsUnavailableError, match="no AVX2 with FMA"):
        build._usable_variants()


def test_the_instruction_set_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build.variant_name() == build._usable_variants()[0].name
    monkeypatch.setattr(build, "_try_load", lambda: (None, "there is no C compiler"))
    assert build.variant_name() == ""


def test_a_structure_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ctypes.sizeof(abi.RopeArgs) != ctypes.sizeof(abi.AttentionArgs)
    swapped = abi.Bf16Matrix, abi.AttentionArgs, abi.RopeArgs, abi.DecoderLayer, abi.Step
    monkeypatch.setattr(abi, "_STRUCTURES", swapped)
    with pytest.raises(build.KernelsUnavailableError, match=r"AttentionArgs has \d+ bytes"):
        build._load_variant(HERE[0], kernel_compiler.deadline())


def test_constants_are_those_of_the_header() -> None:
    assert abi.constant("TILE") == abi.constant("GROUP") == 32
    assert abi.constant("INT4_BLOCK") == abi.constant("INT4_WEIGHTS") + 2 * abi.constant("TILE")
    with pytest.raises(KeyError):
        abi.constant("NOTHING")


@pytest.mark.parametrize(("hidden", "best"), [("avx2", ""), ("fma", ""), ("avx512bw", "AVX2")])
def test_a_hidden_flag_hides_every_instruction_set_that_has_it(
    hidden: str, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = frozenset({"avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"})
    monkeypatch.setattr(cpu, "_flags", lambda root: every)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert build._usable_variants()[0].name == "AVX-512 VNNI"
    monkeypatch.setenv("DUIBI_HIDE_CPU_FLAGS", hidden)
    if best:
        assert build._usable_variants()[0].name == best
        return
    said = f"what they need is hidden by DUIBI_HIDE_CPU_FLAGS: {hidden}"
    with pytest.raises(build.KernelsUnavailableError, match=said):
        build._usable_variants()


def test_a_flag_that_nobody_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUIBI_HIDE_CPU_FLAGS", "avx_vnni")
    assert "DUIBI_HIDE_CPU_FLAGS" not in build.remark()
    monkeypatch.setenv("DUIBI_HIDE_CPU_FLAGS", "avx5")
    assert build.remark() == "DUIBI_HIDE_CPU_FLAGS names what this CPU has not got: avx5"
