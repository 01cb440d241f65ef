"""How much memory a model will need, told before it is loaded."""

from dataclasses import dataclass

BASE = 390_000_000
"""Bytes a worker takes without weights: torch, transformers and a tokenizer (measured)."""

RESERVE = 0.04
"""Share added for the allocator: `benchmarks/memory.py` compares with what is measured."""

PER_TOKEN = 60_000
"""Bytes of activations for each token of a prompt while it is read (measured)."""

CACHES = 1.5
"""Parts of the key-value cache are copied when tokens are joined to it, and a conversation's
past is kept for its next turn."""

BYTES_PER_WEIGHT = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.08, "int4": 0.75}
"""int4 in groups of 32 has a scale and a zero point of 8 bits each: 4.5 bits a weight (of 16
each where torch's kernels are used: 5).
Embeddings keep 16 bits and the head 8: of a 7B with 150 thousand words they are 8 % each."""

BYTES_PER_CACHED = {"fp32": 4, "bf16": 4, "fp16": 2, "int8": 2, "int4": 2}
"""Keys and values are kept in the dtype of the activations: on a CPU that is float32 for bf16
weights, and bf16 for quantised ones."""

_BYTES_PER_TIED = {"fp32": 0, "bf16": 2, "fp16": 2, "int8": 1, "int4": 1}
"""fp32 computes with the embeddings as they are; the others arrange a head of their own."""

GGUF_BITS = 4.5
"""Bits of a weight in the smallest common GGUF layout (Q4_0: 18 bytes for 32 weights).
Headers of GGUF files are not parsed outside the worker, so that their weights are
counted from the file's size; larger layouts are overestimated."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the key-value cache's size depends on, and how many weights of the output head
    are those of the embeddings; zeros where it is not known."""

    layers: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    tied_head: int = 0


def predict(
    parameters: int,
    dtype: str,
    layers: int,
    kv_heads: int,
    head_dim: int,
    context: int,
    answers: int = 1,
    tied_head: int = 0,
) -> int:
    """Bytes of memory at the peak of answering with a context of so many tokens.

    (base + weights + head + 1.5 * KV cache + 60 kB * context) * 1.04, where the KV cache
    is 2 * layers * kv_heads * head_dim * context * bytes for each of the ``answers`` that
    are decoded together (keys and values of every layer and token), and the head counts
    where it is tied to the embeddings, which keep their own layout.

    Raises:
        KeyError: the dtype is not one of `BYTES_PER_WEIGHT`.
    """
    weights = parameters * BYTES_PER_WEIGHT[dtype] + tied_head * _BYTES_PER_TIED[dtype]
    cache = kv_cache(dtype, Shape(layers, kv_heads, head_dim), context) * answers
    working = CACHES * cache + PER_TOKEN * context
    return round((BASE + weights + working) * (1 + RESERVE))


def kv_cache(dtype: str, shape: Shape, context: int) -> int:
    """Bytes of the keys and values of one conversation of ``context`` tokens."""
    cached = 2 * shape.layers * shape.kv_heads * shape.head_dim * context
    return cached * BYTES_PER_CACHED[dtype]


def weights_in_gguf(size: int) -> int:
    """At most so many weights are in a GGUF file of ``size`` bytes (see `GGUF_BITS`)."""
    return int(size * 8 / GGUF_BITS)
