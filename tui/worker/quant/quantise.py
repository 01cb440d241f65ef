"""Weights in 8 and 4 bits: pure functions from a matrix to integers and scales."""

import torch

from tui.worker.quant.matrix import Matrix

GROUP = 32
"""Weights of a row that share a scale and a zero point in int4. Smaller groups than 32
the kernel has not; larger ones cost accuracy (64: 10 points of top-1 on a 135M model)."""

_LEVELS = 15
_CENTRE = 8
"""The kernel computes ``(q - 8) * scale + zero``."""
_CLIP_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Shares of a group's range that are tried: cutting its ends makes every step finer."""
_BLOCK = 1 << 18
"""Weights worked on at a time, so that temporaries stay in the cache of the CPU."""


def quantise_int8_rows(weight: Matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """``(q, scale)``: int8 of the same shape and a float32 scale per row, symmetric, so
    that ``q * scale[:, None]`` is the matrix."""
    rows, columns = weight.shape
    q = torch.empty((rows, columns), dtype=torch.int8)
    scale = torch.empty(rows, dtype=torch.float32)
    step = max(1, _BLOCK // columns)
    for start in range(0, rows, step):
        block = weight[start : start + step].float()
        unit = block.abs().amax(1).div_(127).clamp_min_(torch.finfo(torch.float32).tiny)
        scale[start : start + step] = unit
        q[start : start + step] = (block / unit[:, None]).round_().to(torch.int8)
    return q, scale


def quantise_int4_groups(
    weight: Matrix, importance: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """``(q, scales)``: int32 of the same shape with values 0 to 15, and bfloat16 scales and
    zeros of shape (columns / 32, rows, 2), as `torch._weight_int4pack_mm_for_cpu` takes
    them.

    Asymmetric; of a few clipped ranges each group takes the one of least squared error,
    weighed by ``importance`` (columns) where it is known.
    """
    rows, columns = weight.shape
    weighs = torch.ones(columns) if importance is None else importance
    weighs = weighs.reshape(columns // GROUP, GROUP)
    q = torch.empty((rows, columns), dtype=torch.int32)
    scales = torch.empty((columns // GROUP, rows, 2), dtype=torch.bfloat16)
    step = max(1, _BLOCK // columns)
    for start in range(0, rows, step):
        block = weight[start : start + step].float().reshape(-1, columns // GROUP, GROUP)
        best, scale, zero = _best_clip(block, weighs)
        part = slice(start, start + step)
        q[part] = best.reshape(-1, columns).to(torch.int32)
        scales[:, part, 0] = scale.squeeze(-1).t().to(torch.bfloat16)
        scales[:, part, 1] = zero.squeeze(-1).t().to(torch.bfloat16)
    return q, scales


def _best_clip(
    block: torch.Tensor, importance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    low, high = block.amin(-1, keepdim=True), block.amax(-1, keepdim=True)
    kept = None
    for shrink in _CLIP_SHARES:
        found = _quantise_clipped(block, importance, low * shrink, high * shrink)
        if kept is None:
            kept = found
            continue
        better = found[3] < kept[3]
        kept = tuple(torch.where(better, new, old) for new, old in zip(found, kept, strict=True))
    assert kept is not None
    return kept[0], kept[1], kept[2]


def _quantise_clipped(
    block: torch.Tensor, importance: torch.Tensor, low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    # Scale and zero are rounded to bfloat16 before the weights are, so that the rounding
    # of the weights makes up for it.
    scale = ((high - low) / _LEVELS).clamp_min(1e-8).bfloat16().float()
    zero = (low + _CENTRE * scale).bfloat16().float()
    q = ((block - zero) / scale + _CENTRE).round_().clamp_(0, _LEVELS)
    error = ((q - _CENTRE) * scale + zero - block).square_().mul_(importance).sum(-1, keepdim=True)
    return q, scale, zero, error
