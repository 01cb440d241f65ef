"""What is said of the layers that a GPU holds: here by what llama.cpp prints, for there is none."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.small_gguf import write_gguf
from tui.host.errors import UserError
from tui.text.translation import translate
from tui.worker.gguf import llama_build
from tui.worker.gguf.gpu_layers import Gpu, Placement, layers_line, read_placement
from tui.worker.gguf.llama_server import LlamaServer

pytest.importorskip("xllamacpp")
GPU = Gpu("CUDA0", "NVIDIA A10")
PRINTED = """0.00.1 I load_tensors: offloading {n} repeating layers to GPU
0.00.2 I load_tensors: offloaded {n}/25 layers to GPU
0.00.3 I load_tensors:        CUDA0 model buffer size =   373.71 MiB
"""


@pytest.mark.parametrize(
    ("printed", "device", "english", "chinese"),
    [
        (
            PRINTED.format(n=25),
            "cuda0",
            "computed by the GPU (NVIDIA A10)",
            "由 GPU 计算（NVIDIA A10）",
        ),
        (
            PRINTED.format(n=25) + PRINTED.format(n=7),
            "cuda0+cpu",
            "7 of 25 layers are computed by the GPU (NVIDIA A10), the others by the CPU",
            "25 层中有 7 层由 GPU 计算（NVIDIA A10），其余由 CPU 计算",
        ),
        (
            PRINTED.format(n=0),
            "cpu",
            "the GPU has too little memory for it: the CPU computes",
            "GPU 显存不够：由 CPU 计算",
        ),
        (
            "",
            "cuda0",
            "computed by the GPU (NVIDIA A10), how much of it is not known",
            "由 GPU 计算（NVIDIA A10），其中占多少未知",
        ),
    ],
)
def test_what_fits_onto_a_gpu_is_said(
    printed: str, device: str, english: str, chinese: str
) -> None:
    made = read_placement(GPU, layers_line(printed))
    assert (made.device, made.remark) == (device, english)
    assert translate(made.remark, "zh") == chinese


def test_without_a_gpu_nothing_is_said() -> None:
    assert (Placement().device, Placement().remark) == ("cpu", "")


def test_a_gpu_is_looked_for_among_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    class Devices:
        def __init__(self, *kinds: tuple[int, str, str]) -> None:
            self.kinds = kinds

        def get_device_info(self) -> list[dict[str, Any]]:
            kind = type("Kind", (), {})
            return [
                {"name": name, "description": title, "type": _with(kind(), value)}
                for value, name, title in self.kinds
            ]

    def _with(made: Any, value: int) -> Any:
        made.value = value
        return made

    cpu = (0, "CPU", "AMD EPYC")
    found = []
    for devices in (
        Devices(cpu),
        Devices((1, "CUDA0", "NVIDIA A10"), cpu),
        Devices(cpu, (2, "MTL0", "")),
    ):
        monkeypatch.setattr(llama_build, "module", lambda devices=devices: devices)
        found.append(llama_build.gpu())
    assert found == [None, GPU, Gpu("MTL0", "MTL0")]


def test_a_model_that_a_gpu_refuses_is_computed_by_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = llama_build.module()
    file, tried = write_gguf(tmp_path / "tiny.gguf"), list[tuple[bool, int]]()

    class Refusing:
        CommonParams, get_device_info = real.CommonParams, real.get_device_info

        @staticmethod
        def Server(given: Any) -> Any:  # noqa: N802
            tried.append((given.fit_params, given.n_gpu_layers))
            if given.fit_params:
                raise RuntimeError("CUDA error: out of memory")
            return real.Server(given)

    monkeypatch.setattr(llama_build, "module", lambda: Refusing)
    server = LlamaServer(file, 256, 1, 1, gpu=GPU)
    assert server.placement.device == "cpu" and tried[1] == (False, 0)
    assert server.placement.remark.startswith("the GPU cannot be used (")
    assert "out of memory" in server.placement.remark
    assert server.tokenise("hello", special=False)
    # What its vocabulary is read for alone needs no GPU.
    assert LlamaServer(file, 256, 1, 1, for_words=True).placement == Placement()
    assert tried[-1] == (False, 0)
    broken = write_gguf(tmp_path / "broken.gguf", pre="nonsense")
    with pytest.raises(UserError, match=r"llama.cpp cannot load broken.gguf"):
        LlamaServer(broken, 256, 1, 1, gpu=GPU)
