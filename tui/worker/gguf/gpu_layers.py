"""How many layers of a model the GPU holds, as llama.cpp tells while it loads."""

import re
from dataclasses import dataclass

_OFFLOADED = re.compile(r"offloaded \d+/\d+ layers to GPU")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that a build of llama.cpp computes with: its name there, such as ``CUDA0``, and what a
    person knows it by."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the layers of a model are, the output's among them. ``there`` of ``layers`` are on
    ``gpu`` (None where llama.cpp did not tell), all are with the CPU where there is none;
    ``refused``: why a GPU that is there could not be used."""

    gpu: Gpu | None = None
    there: int | None = 0
    layers: int = 0
    refused: str = ""

    @property
    def device(self) -> str:
        """What `tui.events.Loaded` calls it: ``cpu``, the name of the GPU, or both."""
        if self.gpu is None or self.there == 0:
            return "cpu"
        name = self.gpu.name.lower()
        return name if self.there in (None, self.layers) else f"{name}+cpu"

    @property
    def remark(self) -> str:
        """What a person is told; empty where there is no GPU."""
        if self.refused:
            return f"the GPU cannot be used ({self.refused}): the CPU computes"
        if self.gpu is None:
            return ""
        if self.there == 0:
            return "the GPU has too little memory for it: the CPU computes"
        if self.there is None:
            return f"computed by the GPU ({self.gpu.title}), how much of it is not known"
        if self.there == self.layers:
            return f"computed by the GPU ({self.gpu.title})"
        there, count, title = self.there, self.layers, self.gpu.title
        return f"{there} of {count} layers are computed by the GPU ({title}), the others by the CPU"


def layers_line(printed: str) -> str:
    """The last line that tells of layers, in what llama.cpp printed while it loaded; it may have
    tried before."""
    found = _OFFLOADED.findall(printed)
    return found[-1] if found else ""


def read_placement(gpu: Gpu, line: str) -> Placement:
    """Where the layers are, by a `layers_line`."""
    if not line:
        return Placement(gpu, None)
    there, layers = (int(number) for number in re.findall(r"\d+", line))
    return Placement(gpu, there, layers)
