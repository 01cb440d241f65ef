"""How far an answer overlaps with a reference: shown, never used to rank.

BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacrebleu computes them, BLEU with
its ``zh`` tokenisation where the reference has Chinese characters, else ``13a``. BERTScore
(`tui.worker.bertscore`) needs an encoder and is there only where a person names one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_TEXT = 20_000
"""Code points that are compared at most."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Sentence BLEU, chrF and BERTScore's F1, each 0 to 100; the last None without encoder."""

    bleu: float
    chrf: float
    bert: float | None = None


@dataclass(frozen=True, slots=True)
class BertScores:
    """F1 of each pair, 0 to 1, with the encoder's name and the hidden layer it is of."""

    f1: list[float]
    encoder: str
    layer: int


Scorer = Callable[[Sequence[tuple[str, str]]], BertScores]
"""Computes BERTScore of (answer, reference) pairs."""


def compute_overlap(answer: str, references: Sequence[str]) -> Overlap:
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
