"""How much of a model int8 and int4 reach, told by the names of its tensors and by transformers'
source: they are made of linear layers, and of experts that lie as `tui.worker.quant.experts` says.
"""

import re
from collections.abc import Iterable

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.native_types import ModuleNames, module_names
from tui.checkpoints.weight_headers import HEADS, TABLES, TensorHeader

ROUTER_NAMES = ("gate", "wg", "router", "shared_expert_gate")
"""Layers that choose experts: they are small, and a rounded one chooses others."""
_NEARLY_ALL = 0.9
_WEIGHT = re.compile(r"(?:.*\.)?([^.]*[^.\d][^.]*)(?:\.\d+)*\.weight")


def reach_remark(share: float) -> str:
    """What is said where int8 and int4 reach this share of a model's weights; empty where that is
    nearly all."""
    if share > _NEARLY_ALL:
        return ""
    return f"int8 and int4 reach {share:.0%} of this model: the rest stays in 16 bits"


def count_unreached(tensors: Iterable[TensorHeader], known: Architecture) -> tuple[int, int]:
    """How many of the weights int8 and int4 leave as they are, and how many belong to tables beside
    the embeddings of which only rows are read."""
    if not known.text_type:
        return 0, 0
    names, kept, rows = module_names(known.text_type), 0, 0
    for tensor in tensors:
        if len(tensor.shape) < 2 or tensor.name.endswith((*HEADS, *TABLES)):
            continue
        module = _module_of(tensor.name)
        if module in names.tables:
            rows += tensor.elements
        elif not _is_reached(tensor, module, names):
            kept += tensor.elements
    return kept, rows


def _module_of(name: str) -> str:
    """The name of the module that a weight belongs to, or of a parameter itself."""
    found = _WEIGHT.fullmatch(name)
    return found[1] if found else name.rpartition(".")[2]


def _is_reached(tensor: TensorHeader, module: str, names: ModuleNames) -> bool:
    if ".experts." in tensor.name and (names.marks_experts or names.fuses_experts):
        return names.marks_experts
    # Routers stay as they are, too, and are next to nothing.
    return module in ROUTER_NAMES or module not in names.others
