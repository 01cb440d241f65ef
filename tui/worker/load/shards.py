"""Weights as views of the mapped files: opened, renamed, split, never copied."""

import re
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import WEIGHTS_ELSEWHERE, shard_names
from tui.host.errors import first_line
from tui.worker.checkpoint import Progress
from tui.worker.load.families import TensorRule
from tui.worker.load.mapped_file import map_tensors
from tui.worker.quant import aligned_safetensors
from tui.worker.quant.matrix import StoredMatrix

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}

_MAX_CHECKED_WHOLE = 1 << 22
_PROBES, _PROBE = 4, 1 << 14


def open_tensors(
    folder: Path, total: int, progress: Progress, skipped: Container[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Name and tensor of all weights of a checkpoint but the ``skipped``, mapped copy-on-write
    from the files.

    ``progress`` is told how many of the ``total`` bytes have been handed out and used.

    Raises:
        CheckpointError: a file that the format's own reader refuses.
    """
    done = 0
    for name in shard_names(folder):
        path = folder / name
        if name == WEIGHTS_ELSEWHERE:
            raise CheckpointError("damaged", f"{folder.name} holds no weights, only what they are")
        try:
            for key, tensor in read_tensors(path):
                if key in skipped:
                    continue
                yield key, tensor
                done += tensor.numel() * tensor.element_size()
                progress(done, total)
        except (RuntimeError, OSError, ValueError, KeyError, EOFError) as error:
            raise CheckpointError(
                "damaged", f"{name}: {first_line(error, 120)}", "fetch the file again"
            ) from None


def read_tensors(path: Path) -> Iterator[tuple[str, Any]]:
    """Name and tensor of all weights of one file; raises what the format's own reader raises."""
    return map_tensors(path) if path.suffix == ".safetensors" else _bin(path)


def _bin(path: Path) -> Iterator[tuple[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from torch.load(path, map_location="cpu", mmap=True, weights_only=True).items()


def rename_tensors(
    tensors: Iterator[tuple[str, Any]],
    rules: Sequence[TensorRule],
    architecture: Architecture,
    dtype: torch.dtype,
) -> Iterator[tuple[str, Any]]:
    """The tensors under their native names and in ``dtype``; what no rule knows keeps its
    name, what is stored in ``dtype`` stays a view of the file.

    Raises:
        CheckpointError: a tensor that cannot be divided as its rule says.
    """
    compiled = [(re.compile(rule.source), rule) for rule in rules]
    for name, stored in tensors:
        is_plain = isinstance(stored, torch.Tensor)
        tensor = stored.to(dtype) if is_plain and stored.is_floating_point() else stored
        if tensor is not stored:
            aligned_safetensors.release_pages([stored])
        for pattern, rule in compiled:
            if match := pattern.fullmatch(name):
                targets = [match.expand(target) for target in rule.targets]
                yield from zip(
                    targets, _split_by_rule(name, tensor, rule, architecture), strict=True
                )
                break
        else:
            yield name, tensor


def native_names(names: Iterable[str], rules: Sequence[TensorRule]) -> Iterator[str]:
    """The names that `rename_tensors` gives to tensors."""
    compiled = [(re.compile(rule.source), rule) for rule in rules]
    for name in names:
        matches = ((pattern.fullmatch(name), rule) for pattern, rule in compiled)
        found = next(((match, rule) for match, rule in matches if match), None)
        yield from [found[0].expand(one) for one in found[1].targets] if found else [name]


def _split_by_rule(
    name: str, tensor: Any, rule: TensorRule, architecture: Architecture
) -> Sequence[Any]:
    if rule.normalise_rows:
        if isinstance(tensor, StoredMatrix):
            tensor = tensor.to(torch.float32)
        # As upstream, in the dtype of the computation. A copy: the file stays as it is.
        return [torch.nn.functional.normalize(tensor, dim=-1)]
    parts = len(rule.targets)
    if parts < 2:
        return [tensor] * parts
    total = tensor.shape[0]
    rows = rule.split_rows(architecture) if rule.split_rows else (total // parts,) * parts
    if sum(rows) != total:
        raise CheckpointError(
            "damaged", f"{name} has {total} rows where config.json makes it {sum(rows)}"
        )
    return tuple(tensor.split(rows))


def first_not_finite(tensors: Mapping[str, Any]) -> str | None:
    """The name of a tensor that holds NaN or infinity, or None.

    Tensors of up to four million elements are read whole; of larger ones the beginning,
    the end and two places between, so that a check of 15 GB does not read 15 GB. What is
    missed shows in the first logits.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not all(map(_finite, _sampled_values(tensor))):
            return name
    return None


def _sampled_values(tensor: Any) -> list[Any]:
    size = tensor.numel()
    if size <= _MAX_CHECKED_WHOLE:
        return [tensor]
    flat = tensor.reshape(-1)
    starts = [(size - _PROBE) * number // (_PROBES - 1) for number in range(_PROBES)]
    return [flat[start : start + _PROBE] for start in starts]


def _finite(tensor: Any) -> bool:
    if not tensor.numel() or tensor.element_size() < 2:
        return bool(torch.isfinite(tensor).all())
    # One pass over the weights and nothing as large as they are: a sixtieth of the time of
    # `isfinite`. Of values among which one is NaN both ends are NaN.
    return all(bool(end.isfinite()) for end in torch.aminmax(tensor))
