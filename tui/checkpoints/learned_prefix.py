"""Learned prefixes of ChatGLM3 (P-tuning v2): keys and values of tokens that stand before every
conversation and are in no text.

Format: the tensors of ``transformer.prefix_encoder`` as the published training scripts save them:
alone in a folder of their own, or among the weights of a whole checkpoint. The embedding has a row
of 2 * layers * key-value heads * head size values for each token; ``trans`` projects them, if it is
there. Source: modeling_chatglm.py, `PrefixEncoder` and `ChatGLMModel.get_prompt`.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import TensorHeader, read_json, read_tensor_headers, shard_names

PREFIX_ENCODER = "transformer.prefix_encoder."
EMBEDDING = "embedding.weight"
PROJECTION = ("trans.0.weight", "trans.0.bias", "trans.2.weight", "trans.2.bias")
_LONGEST = 4096
"""Tokens of a prefix."""


@dataclass(frozen=True, slots=True)
class LearnedPrefix:
    """What a folder says of its prefix: ``tokens`` of ``values`` values each. ``base`` is what it
    calls its base model, "" where it names none."""

    kind: ClassVar[str] = "a learned prefix (P-tuning)"
    """What it is called."""
    method: ClassVar[str] = "P-tuning"
    """The same in a word."""
    folder: Path
    base: str
    tokens: int
    values: int
    is_projected: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold it."""
        return tuple(self.folder / name for name in shard_names(self.folder))


def is_prefix_folder(folder: Path) -> bool:
    """Whether a folder holds a learned prefix and no model."""
    with contextlib.suppress(CheckpointError, OSError):
        config = folder / "config.json"
        if config.exists() and read_json(config).get("model_type") != "chatglm":
            return False
        headers = read_tensor_headers(folder)
        return bool(headers) and all(one.name.startswith(PREFIX_ENCODER) for one in headers)
    return False


def read_learned_prefix(folder: Path) -> LearnedPrefix:
    """The learned prefix of a folder that `is_prefix_folder`.

    Raises:
        CheckpointError: it is damaged.
    """
    config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    found = prefix_among(read_tensor_headers(folder), folder, str(config.get("_name_or_path", "")))
    assert found is not None
    return found


def prefix_among(
    headers: Iterable[TensorHeader], folder: Path, base: str = ""
) -> LearnedPrefix | None:
    """The learned prefix among the tensors of a folder; None where there is none.

    Raises:
        CheckpointError: a part of it is missing or of another size.
    """
    shapes = {
        one.name.removeprefix(PREFIX_ENCODER): one.shape
        for one in headers
        if one.name.startswith(PREFIX_ENCODER)
    }
    if not shapes:
        return None
    is_projected = any(name in shapes for name in PROJECTION)
    expected = {EMBEDDING, *(PROJECTION if is_projected else ())}
    if set(shapes) != expected:
        raise _damaged(folder, f"the prefix encoder consists of {', '.join(sorted(shapes))[:120]}")
    embedding = shapes[EMBEDDING]
    if len(embedding) != 2 or not 0 < embedding[0] <= _LONGEST:
        raise _damaged(folder, f"the prefix has shape {list(embedding)}")
    values = embedding[1]
    if is_projected:
        inner = shapes[PROJECTION[0]][0] if shapes[PROJECTION[0]] else 0
        fitting = ((inner, values), (inner,), (values, inner), (values,))
        if tuple(shapes[name] for name in PROJECTION) != fitting:
            raise _damaged(folder, "the parts of the prefix encoder do not fit each other")
    return LearnedPrefix(folder, base, embedding[0], values, is_projected)


def check_fits(prefix: LearnedPrefix, base: Architecture) -> None:
    """Check that a prefix was learned for a model of this shape.

    Raises:
        CheckpointError: it was not.
    """
    step = "give the base that it was made for"
    if prefix.base:
        step = f"give the base that it was made for ({prefix.base[:120]})"
    if base.family != "chatglm3":
        raise CheckpointError(
            "unsupported",
            f"{prefix.folder.name} is a learned prefix for ChatGLM3, its base is {base.name}",
            step,
        )
    values = 2 * base.layers * base.kv_heads * base.head_dim
    if prefix.values != values:
        raise CheckpointError(
            "unsupported",
            f"the learned prefix has {prefix.values} values a token, its base {values}",
            step,
        )


def _damaged(folder: Path, why: str) -> CheckpointError:
    return CheckpointError("damaged", f"{folder.name}: {why}", "copy the whole folder again")
