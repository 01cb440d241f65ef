"""One module per family of checkpoints: how to read its config, weights and words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.text.thought import AnswerSplitter, ThoughtFormat
from tui.worker.checkpoint import ChatTokenizer


@dataclass(frozen=True, slots=True)
class TensorRule:
    """Where a published tensor goes: the first rule whose ``source`` (a regular
    expression for the whole name) matches applies.

    ``targets`` are native names with back references, none to drop the tensor; more than
    one divides it by rows, ``split_rows`` telling how many each gets (equal parts without).
    ``normalise_rows`` scales each row to length one.
    """

    source: str
    targets: tuple[str, ...] = ()
    split_rows: Callable[[Architecture], tuple[int, ...]] | None = None
    normalise_rows: bool = False


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """The text side of a checkpoint; fields as in `tui.worker.checkpoint.Checkpoint`."""

    tokenizer: ChatTokenizer
    stop_ids: frozenset[int]
    prompt_format: str
    new_splitter: Callable[[bool], AnswerSplitter] = lambda _: AnswerSplitter()
    thought: ThoughtFormat | None = None
    thought_ending: tuple[int, ...] = ()
    sampling_defaults: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between families.

    ``native_config(config.json, architecture, folder)`` makes the configuration of the
    native class, ``rules`` say where published tensors go, and ``chat_format(folder,
    config.json, architecture)`` reads the tokenizer files; architecture None and an empty
    config where a folder holds those only. ``is_remote_code`` is True for the one family whose
    classes are the checkpoint's own Python code, agreed to by a person. ``template_format`` is
    ``chat_format`` with a given Jinja source, None for a chat format that no template changes.
    """

    name: str
    native_config: Callable[[Mapping[str, Any], Architecture, Path], Any]
    chat_format: Callable[[Path, Mapping[str, Any], Architecture | None], ChatFormat]
    rules: tuple[TensorRule, ...] = ()
    is_remote_code: bool = False
    template_format: (
        Callable[[Path, Mapping[str, Any], Architecture | None, str], ChatFormat] | None
    ) = None


def base_config(known: Architecture) -> dict[str, Any]:
    """The sizes of an architecture by the names of transformers' configuration classes."""
    return {
        "vocab_size": known.vocab,
        "hidden_size": known.hidden,
        "intermediate_size": known.intermediate,
        "num_hidden_layers": known.layers,
        "num_attention_heads": known.heads,
        "num_key_value_heads": known.kv_heads,
        "max_position_embeddings": known.context,
    }


def family_of(name: str) -> Family:
    """The family of a name that `tui.checkpoints.architecture` gives."""
    module = "llama" if name in ("llama", "general") else name
    family: Family = import_module(f"tui.worker.load.families.{module}").FAMILY
    return family
