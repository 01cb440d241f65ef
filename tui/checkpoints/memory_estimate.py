"""How much memory a model will need, told before it is loaded."""

from dataclasses import dataclass

from tui.checkpoints.llama_cpp import BATCH_TOKENS, FIRST_POOL, PUBLISHED

BASE_BYTES = 310_000_000
"""Bytes a worker takes without weights: torch, transformers and a tokenizer (measured of a copy of
the fork server; one that is started alone maps 60 MB more of libraries)."""

_PRIVATE_BASE_BYTES = 240_000_000
"""The private part of it."""

ALLOCATOR_SHARE = 0.04
"""Share added for the allocator: `benchmarks/memory.py` compares with what is measured."""

KV_CACHE_COPIES = 1.5
"""Parts of the key-value cache are copied when tokens are joined to it, and a conversation's
past is kept for its next turn."""

USUAL_TOKENS = 640
"""Of an answer of a set and its question, where no set is known: with as many new tokens as an
answer may have unasked."""
USUAL_OTHERS = 7 * USUAL_TOKENS
"""Tokens of those that are decoded beside one answer of a set."""

GGUF_BITS = 4.5
"""Bits of a weight in the smallest common GGUF layout (Q4_0: 18 bytes for 32 weights).
Where a header cannot be read the weights are counted from the file's size; larger layouts are
overestimated."""

BYTES_PER_WEIGHT = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "int8": 1.01,
    "int4": 0.57,
    PUBLISHED: GGUF_BITS / 8,
}
"""int8 has a scale for each output; int4 in groups of 32 a scale and a zero point of 8 bits each:
4.5 bits a weight (of 16 each where torch's kernels are used: 5)."""

_HEAD_BYTES_PER_WEIGHT = {"int8": BYTES_PER_WEIGHT["int8"], "int4": 0.79}
"""int4 has 6 bits there, and a scale of 8 for each 32 (torch's kernels: as int8)."""

BYTES_PER_CACHED_VALUE = {"fp32": 4, "bf16": 4, "fp16": 2, "int8": 2, "int4": 2, PUBLISHED: 2}
"""Keys and values are kept in the dtype of the activations: on a CPU that is float32 for bf16
weights, and bf16 for quantised ones."""

_BYTES_PER_INTERMEDIATE = {"fp32": 16, "bf16": 16, "fp16": 8, "int8": 8, "int4": 7, PUBLISHED: 12}
_BYTES_PER_HIDDEN = 20
"""Bytes of activations for each token of a prompt while it is read, for each of the
feed-forward part's and of the hidden values (measured)."""

_QUANTISED_BASE_BYTES = 30_000_000
"""What int8 and int4 take beside that, whatever their size (measured)."""

_PUBLISHED_BASE_BYTES = 52_000_000
"""The same for llama.cpp in a worker without torch, half of it mapped libraries (measured)."""
_PUBLISHED_BYTES_PER_WORD = 650
"""What llama.cpp and the worker hold for each token of the vocabulary (measured)."""

_BYTES_PER_TOKEN_IF_UNKNOWN = 60_000
"""The same where these sizes are not known."""

QUANTISED_DTYPES = ("int8", "int4")
"""Formats that are made once and mapped from the cache."""


@dataclass(frozen=True, slots=True)
class MemoryShape:
    """What memory depends on besides the weights; zeros where it is not known. ``width`` is
    that of the feed-forward part; ``tied`` that the head is the embeddings; ``stored`` the
    dtype of the files, bf16 if it is not known; ``file_bytes`` are the tensors of a GGUF file, and
    ``repacked_bytes`` those of them that llama.cpp copies into an order of its own;
    ``kept_wide`` counts the weights that int8 and int4 do not reach: they stay in 16 bits;
    ``transposed`` those of experts that are stored as (inputs, outputs), ``tables`` those of tables
    beside the embeddings of which only rows are read, ``merged`` those that an adapter adds to:
    they lie in no file as they are computed with. ``table_made``: it changes the embeddings."""

    layers: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    hidden: int = 0
    width: int = 0
    vocab: int = 0
    tied: bool = False
    stored: str = ""
    file_bytes: int = 0
    repacked_bytes: int = 0
    kept_wide: int = 0
    transposed: int = 0
    tables: int = 0
    merged: int = 0
    table_made: bool = False


def predict_peak(
    parameters: int, dtype: str, shape: MemoryShape, context: int, other_tokens: int = 0
) -> int:
    """Bytes of memory, private and mapped, at the peak of answering with a context of so many
    tokens.

    (base + `weights_bytes` + 1.5 * KV cache + activations * context) * 1.04, but weights in int8
    and int4, which a file of that size holds, as they are. The KV cache
    is 2 * layers * kv_heads * head_dim * bytes for each token of the context, and of those
    that other answers hold ``other_tokens`` it (keys and values of every layer), and the
    activations of a token are some bytes for each value of its widest layers. llama.cpp takes the
    KV cache once (`held_tokens`), and activations for a part of a prompt only.

    Raises:
        KeyError: the dtype is not one of `BYTES_PER_WEIGHT`.
    """
    cache = kv_cache_bytes(dtype, shape, held_tokens(dtype, context, other_tokens))
    if dtype == PUBLISHED:
        needed = weights_bytes(parameters, dtype, shape) + cache + _published_working(shape)
        return round(needed * (1 + ALLOCATOR_SHARE))
    each = shape.width * _BYTES_PER_INTERMEDIATE[dtype] + shape.hidden * _BYTES_PER_HIDDEN
    working = (
        KV_CACHE_COPIES * cache + (each if shape.width else _BYTES_PER_TOKEN_IF_UNKNOWN) * context
    )
    weights = weights_bytes(parameters, dtype, shape)
    if dtype in QUANTISED_DTYPES:
        # What is mapped from a file made for it has no allocator.
        made = BASE_BYTES + _QUANTISED_BASE_BYTES + working
        return round(weights + made * (1 + ALLOCATOR_SHARE))
    return round((BASE_BYTES + weights + working) * (1 + ALLOCATOR_SHARE))


def held_tokens(dtype: str, context: int, other_tokens: int) -> int:
    """Tokens whose keys and values are held: those of an answer and of the others beside it; by
    llama.cpp, which takes all room when it loads, also those of a person who asks meanwhile."""
    held = context + other_tokens
    return held + FIRST_POOL if dtype == PUBLISHED and other_tokens else held


def _published_working(shape: MemoryShape) -> int:
    each = shape.width * _BYTES_PER_INTERMEDIATE[PUBLISHED] + shape.hidden * _BYTES_PER_HIDDEN
    words = _PUBLISHED_BYTES_PER_WORD * shape.vocab
    return _PUBLISHED_BASE_BYTES + shape.repacked_bytes + words + BATCH_TOKENS * each


def weights_bytes(parameters: int, dtype: str, shape: MemoryShape) -> int:
    """Bytes of the weights that an answer reads: of embeddings that are not the head too, and of
    further tables, only a few rows of a mapped file."""
    size, embeddings = BYTES_PER_WEIGHT[dtype], shape.vocab * shape.hidden
    if dtype == PUBLISHED:
        return shape.file_bytes or int(parameters * size)
    if dtype in QUANTISED_DTYPES:
        head = embeddings * _HEAD_BYTES_PER_WEIGHT[dtype]
        layers = parameters - embeddings * (1 if shape.tied else 2) - shape.kept_wide - shape.tables
        return int(head + layers * size + shape.kept_wide * BYTES_PER_WEIGHT["bf16"])
    if _is_converted(dtype, shape):
        return int(parameters * size)
    is_whole = shape.tied or shape.table_made
    return int((parameters - shape.tables - (0 if is_whole else embeddings)) * size)


def loading_peak(parameters: int, dtype: str, shape: MemoryShape) -> int:
    """Bytes of private memory at the peak of loading: what the files have in another dtype
    is made anew, everything else is mapped. The files' own pages, which are let go as they
    are read, come on top where nobody else wants the memory."""
    if dtype == PUBLISHED:
        return round(_published_working(shape) * (1 + ALLOCATOR_SHARE))
    made = weights_bytes(parameters, dtype, shape) if _is_converted(dtype, shape) else 0
    # Experts that only transformers can put together are copied, whatever is made of the rest, and
    # for bf16 those that lie the other way round.
    turned = shape.transposed if dtype == "bf16" else 0
    made = max(made, int(max(shape.kept_wide, turned) * BYTES_PER_WEIGHT["bf16"]))
    # int8 and int4 merge an adapter a few rows at a time, but for the table of words.
    table = shape.vocab * shape.hidden * BYTES_PER_WEIGHT["bf16"] if shape.table_made else 0
    merged = table if dtype in QUANTISED_DTYPES else shape.merged * BYTES_PER_WEIGHT[dtype]
    made = max(made, int(merged))
    return round((_PRIVATE_BASE_BYTES + made) * (1 + ALLOCATOR_SHARE))


def reached_share(parameters: int, shape: MemoryShape) -> float:
    """The share of a model's weights that int8 and int4 reach, embeddings not counted."""
    layers = parameters - shape.vocab * shape.hidden - shape.tables
    return 1 - shape.kept_wide / layers if layers > 0 else 1.0


def _is_converted(dtype: str, shape: MemoryShape) -> bool:
    return dtype not in (*QUANTISED_DTYPES, PUBLISHED) and (shape.stored or "bf16") != dtype


def kv_cache_bytes(dtype: str, shape: MemoryShape, tokens: int) -> int:
    """Bytes of the keys and values of so many tokens."""
    cached = 2 * shape.layers * shape.kv_heads * shape.head_dim * tokens
    return cached * BYTES_PER_CACHED_VALUE[dtype]


def max_parameters_in_gguf(size: int) -> int:
    """At most so many weights are in a GGUF file of ``size`` bytes (see `GGUF_BITS`)."""
    return int(size * 8 / GGUF_BITS)
