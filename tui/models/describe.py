"""What `duibi models inspect` prints of a checkpoint folder and of what changes a base."""

from pathlib import Path

from tui.checkpoints.adapter import Adapter, read_matrices
from tui.checkpoints.learned_prefix import LearnedPrefix
from tui.checkpoints.memory_estimate import QUANTISED_DTYPES, MemoryShape, reached_share
from tui.checkpoints.reach import reach_remark
from tui.checkpoints.stored_quantisation import has_levels, stored_bits
from tui.models.default_dtype import choose_dtype
from tui.models.inspect import Inspection
from tui.models.preview import PREVIEW_TURNS, PromptPreview

_WHOLE_BITS = 16


def reach_of(parameters: int, shape: MemoryShape) -> str:
    """What is said where int8 and int4 leave much of a model as it is; else empty."""
    return reach_remark(reached_share(parameters, shape))


def treatment_of(seen: Inspection) -> str:
    """What is done with a folder that can be loaded."""
    if seen.remote_code:
        return "computed in bf16 by the Python code in its folder"
    dtype = choose_dtype(seen.parameters, seen.shape, seen.context)
    if stored_bits(seen.dtype) < _WHOLE_BITS and dtype in QUANTISED_DTYPES:
        if dtype == "int4" and has_levels(seen.dtype):
            return (
                f"computed in {dtype}, which holds the levels as they are stored; @bf16 widens it"
            )
        return f"computed in {dtype}, which is made of what is stored; @bf16 widens it"
    return f"computed in {dtype}, unless another format is named"


def quantisation_of(seen: Inspection) -> str:
    """How a folder's weights were reduced before they were published; empty where they were not."""
    told = seen.quantisation
    if told is None:
        return ""
    if stored_bits(seen.dtype) >= _WHOLE_BITS:
        return f"config.json says {told.label}, the files hold whole weights"
    method, bits, (rows, columns) = told.method, told.bits, told.block
    if method != "fp8" and told.group:
        return f"{method}, {bits} bits, a scale for each {told.group} inputs"
    if method != "fp8":
        return f"{method}, {bits} bits, a scale for each row"
    if told.group:
        return f"{method}, {bits} bits, a scale for each block of {rows} x {columns}"
    return f"{method}, {bits} bits, a scale for each row or the whole"


def describe(seen: Inspection, preview: PromptPreview | None = None) -> list[tuple[str, str]]:
    """What `duibi models inspect` prints: a name and a text for each fact."""
    kind = f" (model_type {seen.model_type})" if seen.model_type else ""
    size = f"{seen.checkpoint_bytes / 1e9:.2f} GB" if seen.checkpoint_bytes else ""
    skipped = f"{seen.skipped_bytes / 1e9:.2f} GB that no text model uses"
    facts = [
        ("folder", str(seen.path)),
        ("family", f"{seen.family or 'not recognised'}{kind}"),
        ("parameters", f"{seen.parameters:,}" if seen.parameters else ""),
        ("stored as", ", ".join(filter(None, (seen.dtype, size)))),
        ("quantised", quantisation_of(seen)),
        ("left out", skipped if seen.skipped_bytes else ""),
        ("int8, int4", reach_of(seen.parameters, seen.shape) if seen.layers else ""),
        ("context", f"{seen.context:,} tokens" if seen.context else ""),
        ("tokenizer", seen.tokenizer),
        ("weights", f"{_files(len(seen.shards))}, {len(seen.missing)} missing"),
    ]
    rows = [(name, value) for name, value in facts if value]
    rows += [("  missing", name) for name in seen.missing[:8]]
    rows += [("  code", f"{name} {digest}") for name, digest in seen.remote_code.items()]
    if preview is not None:
        rows += [("chat", remark) for remark in preview.remarks]
        rows.append(("prompt", f"for {PREVIEW_TURNS[0][1]!r}: {preview.ids}"))
    if seen.problems:
        rows += [("refused", problem) for problem in seen.problems]
    else:
        rows += [("load", treatment_of(seen)), ("verdict", "can be loaded")]
    return rows


def describe_adapter(adapter: Adapter | LearnedPrefix, base: Path) -> list[tuple[str, str]]:
    """The same of what changes a base, and the folder of that base.

    Raises:
        CheckpointError: its weight file is missing or damaged.
    """
    if isinstance(adapter, LearnedPrefix):
        changes = f"{adapter.tokens} learned tokens before every conversation"
        how = "its keys and values stand in the cache before what the base reads"
    else:
        changes, how = _changes(adapter), "merged into its base while the weights are read"
    return [
        ("folder", str(adapter.folder)),
        ("family", adapter.kind),
        ("of", adapter.base or "?"),
        ("changes", changes),
        ("base", str(base)),
        ("load", how),
    ]


def _changes(adapter: Adapter) -> str:
    changed, replaced = read_matrices(adapter)
    scale = "alpha / sqrt(rank)" if adapter.is_rank_stabilised else "alpha / rank"
    rank, alpha = adapter.rank, f"{adapter.alpha:g}"
    if replaced:
        return (
            f"{len(changed)} layers and {len(replaced)} whole tensors; "
            f"rank {rank}, alpha {alpha}, {scale}"
        )
    return f"{len(changed)} layers; rank {rank}, alpha {alpha}, {scale}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
