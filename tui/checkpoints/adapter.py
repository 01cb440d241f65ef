"""LoRA adapters: a few small matrices that change layers of a base model.

Format: ``adapter_config.json`` and ``adapter_model.safetensors`` (or ``.bin``) as peft writes them
(`LoraConfig`, `get_peft_model_state_dict`).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import (
    ADAPTER_CONFIG,
    TensorHeader,
    read_file_headers,
    read_json,
)
from tui.text.sanitise import one_line

WEIGHT_FILES = ("adapter_model.safetensors", "adapter_model.bin")
_PREFIX = "base_model.model."
_MATRICES = ("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B")
_LARGEST = 1 << 20
"""Of a rank and of an alpha."""
_PLAIN_NAME = re.compile(r"[\w.]{1,200}")
_REFUSED = {
    "use_dora": "DoRA",
    "lora_bias": "a bias of its own matrices (lora_bias)",
    "layer_replication": "repeated layers (layer_replication)",
    "target_parameters": "matrices of parameters (target_parameters)",
    "trainable_token_indices": "single trained tokens (trainable_token_indices)",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "alora_invocation_tokens": "aLoRA",
    "arrow_config": "Arrow",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
"""Settings that mean another sum than ``W + scale * B A``, by what they are called."""
_CHANGED_BASES = {
    "pissa": "PiSSA",
    "corda": "CorDA",
    "olora": "OLoRA",
    "loftq": "LoftQ",
    "lora_ga": "LoRA-GA",
}
"""Beginnings of ``init_lora_weights`` for which a part of W was taken out before the training."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a LoRA folder says of itself.

    ``base`` is what it calls its base model (a hub's name, or a path of the machine that made
    it); ``alphas`` are exceptions from ``alpha`` by the end of a module's name; ``fan_in_fan_out``:
    weights of the base are stored as (inputs, outputs).
    """

    kind: ClassVar[str] = "a LoRA adapter"
    """What it is called."""
    method: ClassVar[str] = "LoRA"
    """The same in a word."""
    folder: Path
    base: str
    rank: int
    alpha: float
    alphas: Mapping[str, float] = field(default_factory=dict)
    is_rank_stabilised: bool = False
    fan_in_fan_out: bool = False
    has_ranks: bool = False
    """Whether modules have other ranks than ``rank`` (``rank_pattern``)."""
    targets: tuple[str, ...] = ()
    """The ends of the names of the modules that it changes; none where they are told otherwise."""

    @property
    def weights(self) -> Path:
        """Its weight file."""
        return next(
            (p for name in WEIGHT_FILES if (p := self.folder / name).is_file()),
            self.folder / WEIGHT_FILES[0],
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """What it consists of."""
        return self.folder / ADAPTER_CONFIG, self.weights

    def scale(self, module: str, rank: int) -> float:
        """What ``B A`` of a module is multiplied by: alpha / rank, or alpha / sqrt(rank)."""
        alpha = next(
            (a for end, a in self.alphas.items() if module == end or module.endswith(f".{end}")),
            self.alpha,
        )
        return alpha / (math.sqrt(rank) if self.is_rank_stabilised else rank)


def is_lora_folder(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").exists()


def read_adapter(folder: Path) -> Adapter:
    """The adapter of a folder.

    Raises:
        CheckpointError: it is damaged, or of a kind that is refused, which is named.
    """
    said = read_json(folder / ADAPTER_CONFIG)
    kind = str(said.get("peft_type", "?"))
    if kind != "LORA":
        raise _refused(folder, f"an adapter of the kind {kind[:30]}")
    for key, name in _REFUSED.items():
        if said.get(key):
            raise _refused(folder, f"a LoRA adapter with {name}")
    start = str(said.get("init_lora_weights")).lower()
    for key, name in _CHANGED_BASES.items():
        if start.startswith(key):
            raise _refused(folder, f"a LoRA adapter with {name}")
    alphas = said.get("alpha_pattern") or {}
    if not isinstance(alphas, dict) or not all(map(_is_alpha, alphas.items())):
        raise _refused(folder, "a LoRA adapter with patterns in alpha_pattern")
    return Adapter(
        folder,
        one_line(str(said.get("base_model_name_or_path") or "")),
        _number(said, "r", whole=True),
        _number(said, "lora_alpha"),
        {str(name): float(alpha) for name, alpha in alphas.items()},
        said.get("use_rslora") is True,
        said.get("fan_in_fan_out") is True,
        bool(said.get("rank_pattern")),
        _targets(said.get("target_modules")),
    )


def _targets(said: object) -> tuple[str, ...]:
    names = said if isinstance(said, list) else []
    return tuple(one for one in names if isinstance(one, str))


def _is_alpha(entry: tuple[Any, Any]) -> bool:
    name, alpha = entry
    return (
        isinstance(name, str)
        and _PLAIN_NAME.fullmatch(name) is not None
        and type(alpha) in (int, float)
        and abs(alpha) <= _LARGEST
    )


def _number(said: Mapping[str, Any], key: str, whole: bool = False) -> Any:
    value: Any = said.get(key)
    allowed = (int,) if whole else (int, float)
    if type(value) not in allowed or not 0 < value <= _LARGEST:
        raise CheckpointError(
            "damaged",
            f"{ADAPTER_CONFIG}: {key} cannot be {json.dumps(value)[:40]}",
            "fetch the adapter again",
        )
    return value


def _refused(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(
        "unsupported",
        f"{folder.name or folder}: {what} is not merged here",
        "merge it into its base (peft: merge_and_unload, then save_pretrained), and give the "
        "folder of the result",
    )


def read_matrices(adapter: Adapter) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What its weight file holds: for each module of the base the names of its matrices (``A`` and
    ``B``, of an embedding ``embedding_A`` and ``embedding_B``), and for each tensor of the base
    that is replaced as a whole (``modules_to_save``) the name of its new one.

    Raises:
        CheckpointError: the file is missing or damaged, or a matrix lacks its other one.
    """
    if not adapter.weights.is_file():
        raise CheckpointError(
            "not_found",
            f"{adapter.folder.name} holds no {WEIGHT_FILES[0]}",
            "copy the whole folder of the adapter",
        )
    pairs: dict[str, dict[str, str]] = {}
    replaced: dict[str, str] = {}
    headers = read_file_headers(adapter.weights)
    for header in headers:
        name = header.name.removeprefix(_PREFIX)
        end = next((end for end in _MATRICES if name.endswith(f".{end}")), "")
        if end:
            which = end.removesuffix(".weight").removeprefix("lora_")
            pairs.setdefault(name.removesuffix(f".{end}"), {})[which] = header.name
        elif "lora_magnitude" in name:
            raise _refused(adapter.folder, "a LoRA adapter with DoRA")
        else:
            # Of a changed embedding the base's own weights are kept beside the matrices.
            replaced[name.replace(".base_layer.", ".")] = header.name
    by_name = {header.name: header for header in headers}
    for module, found in pairs.items():
        if set(found) not in ({"A", "B"}, {"embedding_A", "embedding_B"}):
            raise _damaged(adapter, f"{module} has one matrix of two")
        first, second = (by_name[found[key]] for key in sorted(found))
        if not _fit(first, second):
            raise _damaged(adapter, f"the matrices of {module} do not fit each other")
        rank = first.shape[0]
        if rank != adapter.rank and not adapter.has_ranks:
            raise _damaged(
                adapter,
                f"{module} has rank {rank}, {ADAPTER_CONFIG} says {adapter.rank}",
            )
        if adapter.targets and not any(f".{module}".endswith(f".{t}") for t in adapter.targets):
            raise _damaged(adapter, f"it changes {module}, which {ADAPTER_CONFIG} does not name")
    if not pairs and not replaced:
        raise _damaged(adapter, "there is nothing in it")
    return pairs, replaced


def separates_head(adapter: Adapter, head: str, table: str) -> bool:
    """Whether an output ``head`` that is the ``table`` of words (names of weights) in the base is
    another one in the end, as one of them is replaced as a whole.

    Raises:
        CheckpointError: as `read_matrices`.
    """
    pairs, replaced = read_matrices(adapter)
    return any(
        one in replaced and one.removesuffix(".weight") not in pairs for one in (head, table)
    )


def _fit(a: TensorHeader, b: TensorHeader) -> bool:
    """Whether A (rank, inputs) and B (outputs, rank) have one rank."""
    return len(a.shape) == len(b.shape) == 2 and a.shape[0] == b.shape[1] > 0


def _damaged(adapter: Adapter, why: str) -> CheckpointError:
    return CheckpointError("damaged", f"{adapter.weights.name}: {why}", "fetch the adapter again")
