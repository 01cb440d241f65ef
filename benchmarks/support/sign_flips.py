"""`tui.scoring.paired.sign_flip_p` for hundreds of thousands of calls: the same combinations of
signs, summed by numpy. A test holds both against each other."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tui.scoring.paired import DRAWS, EXACT_UP_TO, SEED

_BLOCK = 8
Array = np.ndarray[Any, Any]


def sign_flip_p(gaps: Sequence[float]) -> float:
    """The two-sided p of a mean of zero, as `tui.scoring.paired.sign_flip_p`."""
    if not gaps:
        return 1.0
    found = np.array(gaps, dtype=float)
    bound = abs(found.sum()) - 1e-9 * np.abs(found).sum()
    if len(found) <= EXACT_UP_TO:
        return float(np.mean(np.abs(_signed_sums(found[1:]) + found[0]) >= bound))
    totals = np.zeros(DRAWS)
    for block, chosen in enumerate(_choices(-(-len(found) // _BLOCK))):
        sums = _signed_sums(found[block * _BLOCK : (block + 1) * _BLOCK])
        totals += sums[chosen % len(sums)]
    return float((np.sum(np.abs(totals) >= bound) + 1) / (DRAWS + 1))


def _signed_sums(gaps: Array) -> Array:
    sums = np.zeros(1)
    for gap in gaps:
        sums = np.concatenate((sums + gap, sums - gap))
    return sums


@cache
def _choices(blocks: int) -> tuple[Array, ...]:
    drawn = random.Random(SEED)
    return tuple(
        np.frombuffer(drawn.randbytes(DRAWS), dtype=np.uint8).astype(np.intp) for _ in range(blocks)
    )
