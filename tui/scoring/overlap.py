"""How far an answer overlaps with a reference: shown, never used to rank.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacrebleu computes them, BLEU with
its ``zh`` tokenisation where the reference has Chinese characters, else ``13a``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TEXT = 20_000
"""Code points that are compared; n-gram counting of more is of no use to anyone."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Sentence BLEU and chrF, both 0 to 100."""

    bleu: float
    chrf: float


def overlap(answer: str, references: Sequence[str]) -> Overlap:
    """The overlap of an answer with one or several references (at least one)."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    answer, references = answer[:MAX_TEXT], [r[:MAX_TEXT] for r in references]
    chinese = any(re.search(r"[㐀-䶿一-鿿]", reference) for reference in references)
    bleu = BLEU(tokenize="zh" if chinese else "13a", effective_order=True)
    return Overlap(
        bleu.sentence_score(answer, references).score,
        CHRF().sentence_score(answer, references).score,
    )
