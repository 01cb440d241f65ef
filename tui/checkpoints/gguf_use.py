"""Whether a GGUF file can answer, as far as its header tells."""

import math

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import GgufHeader

_OTHER_FILES = {
    "adapter": "an adapter (LoRA), which is no whole model",
    "mmproj": "the part of another model that sees or hears",
    "imatrix": "a matrix of importances, which is no model",
    "vocab": "a vocabulary alone, without weights",
}
"""``general.type`` of files that hold no model."""
_OTHER_MODELS = (
    *("bert", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2"),
    *("jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder", "clip", "wavtokenizer-dec"),
)
"""Architectures that llama.cpp reads and that write no text."""
_DIFFUSION = ("dream", "llada", "llada-moe", "rnd1")
"""Architectures that llama.cpp reads, of which its server makes no answers."""
_NO_WORDS = ("none", "no_vocab")
"""``tokenizer.ggml.model`` of files without a vocabulary."""
_SCALINGS = ("none", "linear", "yarn", "longrope")
"""All that llama.cpp knows (llama-model.cpp)."""
_MOST_LAYERS, _LEAST_CONTEXT, _MOST_CONTEXT = 1024, 16, 1 << 28
_MOST_EXPERTS = 4096
_EXPERTS = ("ffn_gate_inp", "_exps")
"""In the names of tensors of a mixture of experts."""


def require_usable(file: str, header: GgufHeader) -> None:
    """Go on only where a ``file`` of this name may hold a language model that answers, with numbers
    that llama.cpp survives: at some it ends the process.

    Raises:
        CheckpointError: ``unsupported`` or ``damaged``.
    """
    try:
        file.encode()
    except UnicodeEncodeError:
        # llama.cpp is given a name as UTF-8.
        name = file.encode(errors="replace").decode()
        message = f"{name}: the name is not UTF-8"
        raise CheckpointError("unsupported", message, "rename the file") from None
    if why := _why_not_chat(header):
        raise CheckpointError(
            "unsupported", f"{file} cannot answer: it is {why}", "take a whole language model"
        )
    if why := _why_damaged(header):
        raise CheckpointError("damaged", f"{file} {why}", "download the file again")


def _why_not_chat(header: GgufHeader) -> str:
    kind = header.text("general.type")
    if kind in _OTHER_FILES:
        return _OTHER_FILES[kind]
    if header.architecture in _OTHER_MODELS:
        return f"a model of the kind {header.architecture}, which writes no text"
    if header.architecture in _DIFFUSION:
        return f"a model of the kind {header.architecture}, which does not write word by word"
    if not header.shape.vocab or header.text("tokenizer.ggml.model") in _NO_WORDS:
        return "a model without a vocabulary"
    return ""


def _why_damaged(header: GgufHeader) -> str:
    layers, experts = header.number("block_count"), header.number("expert_count")
    chosen = header.number("expert_used_count")
    has_experts = any(mark in one.name for one in header.tensors for mark in _EXPERTS)
    scaling = header.metadata.get(f"{header.architecture}.rope.scaling.type", "none")
    context = header.metadata.get(f"{header.architecture}.context_length")
    if not header.architecture:
        return "names no architecture"
    if not header.tensors:
        return "holds no weights"
    if context is None:
        return "tells of no context length"
    if not _LEAST_CONTEXT <= header.context <= _MOST_CONTEXT:
        return f"tells of a context of {str(context)[:20]} tokens"
    if odd := _senseless(header):
        return f"has no usable number for {odd}"
    if scaling not in _SCALINGS:
        return f"scales its positions by {str(scaling)[:20]}, which nobody knows"
    if not 0 < layers <= _MOST_LAYERS:
        return f"tells of {layers} layers"
    if experts and not has_experts:
        return f"tells of {experts} experts, and holds none"
    if experts > _MOST_EXPERTS:
        return f"tells of {experts} experts"
    if chosen > experts or (experts and not chosen):
        return f"chooses {chosen} of {experts} experts"
    if (turned := header.number("rope.dimension_count")) % 2:
        return f"turns {turned} values of each head by their position, an odd number"
    return ""


def _senseless(header: GgufHeader) -> str:
    """The key of a number of the architecture that is negative or not finite; empty where all are
    good. llama.cpp ends the process at some of them."""
    values = ((key, value) for key, value in header.metadata.items() if type(value) is float)
    start = f"{header.architecture}."
    return next((k for k, v in values if k.startswith(start) and not 0 <= v < math.inf), "")
