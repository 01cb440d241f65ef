"""The figures that stand for a model: the same everywhere they are shown.

Times and speeds of the standard measure are the model's (`tui.events.Measured`); where there is
none, as of a service, they are those of its answers. Seconds an answer and text speed are
those of the answers. Figures of answers are medians over questions, of each question the mean of
its answers (`tui.scoring.costs.question_means`). Times and speeds of answers are those of the
questions that all models have answered: one that failed at a long question is not the faster for
it. Memory is that of the
moment when private and mapped memory together were highest, loading included. An answer without
any text counts for neither seconds nor text speed.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TypeVar

from tui.board import Answer
from tui.events import Answered, Loaded, Measured
from tui.metrics import chars_s
from tui.scoring.costs import GB, METRICS_BY_ID, Place, Places, answer_ttft, question_means

Timed = TypeVar("Timed", Loaded, Answered, Measured)

FIGURES = (
    *("load", "ttft", "answer_ttft", "thought", "prefill", "tpot", "decode", "e2e", "chars_s"),
    *("ram", "load_ram", "checkpoint", "weights"),
)
"""Ids, as of `tui.scoring.costs.METRICS`, in the order in which they are shown."""


_TOKEN_BASED = ("tpot", "decode", "thought")


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and what limits it. ``n`` values are behind it: of questions, loads or standard
    measures. ``is_standard``: of the standard measure. ``is_contended``: all that there is was
    spoilt by contention. ``is_estimated``: tokens were estimated. ``batch``: so many answers were
    decoded together at most. ``work``: the tokens of prompt and answer of the standard measure.
    ``reused``: the share of the prompts' tokens that were not computed again."""

    value: float | None = None
    n: int = 0
    is_standard: bool = False
    is_contended: bool = False
    is_estimated: bool = False
    batch: int = 1
    threads: frozenset[int] = frozenset()
    work: frozenset[tuple[int, int]] = frozenset()
    reused: float = 0.0


MOST_REUSE_APART = 0.2
"""So far apart may be the shares of prompt tokens that two models found computed: where both begin
a prompt with the same words, tokenizers and templates make that much of a difference."""


def reused_share(told: Iterable[Answered]) -> float:
    """Of the tokens of these prompts those that were not computed again, 0 to 1."""
    known = [(one.prompt_tokens, one.reused) for one in told if one.prompt_tokens > 0]
    prompts = sum(prompt for prompt, _ in known)
    # A session may hold anything: more than all is all.
    return sum(min(max(0, reused), prompt) for prompt, reused in known) / max(prompts, 1)


def is_reuse_apart(shares: Iterable[float]) -> bool:
    """Whether one side found clearly more of its prompts computed than another."""
    known = list(shares)
    return bool(known) and max(known) - min(known) > MOST_REUSE_APART


_UNCACHED, _CACHED = 0.01, 0.99


def cache_state(file_cache: float | None) -> str:
    """Whether a load read its files from the disk (``cold``) or found them in memory (``warm``) or
    in part (``partly``); empty where nobody knows."""
    if file_cache is None:
        return ""
    return "cold" if file_cache < _UNCACHED else "warm" if file_cache > _CACHED else "partly"


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Bytes of one moment."""

    private: int = 0
    mapped: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.private + self.mapped


@dataclass(frozen=True, slots=True)
class Glance:
    """A model's figures by their id, and the two moments of most memory: of all, and of loading.
    ``file_caches`` are the parts of the weights' files that were in memory when each of the loads
    began that ``load`` is of (None: not known), ``measured`` the standard measures behind the
    figures.
    ``common``: the answers that times are taken from (`common_answers`); ``uncommon``: how many
    questions these leave out that were answered undisturbed, as not all models answered them.
    ``places`` are those of all answers. ``is_averaged``: some questions have several answers that
    times are taken from."""

    figures: Mapping[str, Figure]
    peak: PeakMemory
    load_peak: PeakMemory
    file_caches: tuple[float | None, ...] = ()
    measured: tuple[Measured, ...] = ()
    common: frozenset[int] = frozenset()
    uncommon: int = 0
    places: Places = field(default_factory=dict)
    is_averaged: bool = False

    @property
    def common_questions(self) -> int:
        """How many questions the times of answers are of, where they are of common ones."""
        return len({self.places[id_][0] for id_ in self.common})

    def seconds(self, answers: Iterable[Answer]) -> list[float]:
        """Seconds to the end of an answer, undisturbed, one value of each question: what E2E is the
        median of. ``answers`` are the model's."""
        mine = list(answers)
        timed = [a for a in mine if id(a) in self.common] or mine
        told = [(self.places[id(a)], v) for a in timed if _is_clean(a) if (v := _seconds_of(a))]
        return question_means(told)


def is_apart(glances: Iterable[Glance]) -> bool:
    """Whether several models were timed, and no question is common to all: their times are of other
    questions each."""
    timed = [one for one in glances if one.figures["e2e"].value is not None]
    return len(timed) > 1 and not any(one.common for one in timed)


def take_glance(
    loads: Sequence[Loaded],
    answers: Sequence[Answer],
    measured: Sequence[Measured],
    places: Places,
    common: Collection[int],
) -> Glance:
    """The figures of one model. ``common`` are the identities (`id`) of the answers whose questions
    all compared models have answered (`common_answers`)."""
    done = [(a, a.figures) for a in answers if a.figures is not None and a.state == "answered"]
    told = [figures for _, figures in done]
    timed = [pair for pair in done if id(pair[0]) in common] or done
    clean = _clean(measured)
    standard = {
        "ttft": [one.ttft_ms for one in clean],
        "prefill": [one.prefill_tok_s for one in clean],
        "tpot": [one.tpot_ms for one in clean],
        "decode": [one.decode_tok_s for one in clean],
    }
    found: dict[str, Figure] = {"load": _load(loads, measured)}
    for name, of in _OF_ANSWER.items():
        values = [value for value in standard.get(name, ()) if value is not None]
        found[name] = (
            Figure(
                median(values),
                len(values),
                is_standard=True,
                is_contended=all(one.contended for one in measured),
                threads=frozenset(one.threads for one in clean) - {0},
                work=frozenset((one.prompt_tokens, one.output_tokens) for one in clean),
            )
            if values
            else _of_answers(
                timed if METRICS_BY_ID[name].is_timed else done, of, places, name in _TOKEN_BASED
            )
        )
    found["chars_s"] = _text_speed(
        [(answer, f) for answer, f in done if f.e2e_ms and id(answer) in common], places
    )
    peak = _highest([*_load_peaks(loads), *map(_peak, told), *map(_peak, measured)])
    load_peak = _highest(_load_peaks(loads))
    found["ram"] = Figure(peak.total / GB or None, 1)
    found["load_ram"] = Figure(load_peak.total / GB or None, 1)
    for name, sizes in (
        ("checkpoint", [one.checkpoint_bytes for one in loads]),
        ("weights", [one.weights_bytes for one in loads]),
    ):
        found[name] = Figure(sizes[-1] / GB or None if sizes else None, min(1, len(sizes)))
    caches = tuple(load.file_cache for load in _kept_loads(loads))
    shown = {name: found[name] for name in FIGURES}
    uncommon = len(_asked(done, places) - _asked(timed, places))
    is_averaged = len(timed) > len({places[id(a)][0] for a, _ in timed})
    return Glance(
        *(shown, peak, load_peak, caches, tuple(measured)),
        *(frozenset(common), uncommon, places, is_averaged),
    )


def _asked(done: Sequence[tuple[Answer, Answered]], places: Places) -> set[Place]:
    """What was answered undisturbed."""
    return {places[id(a)] for a, _ in done if _is_clean(a)}


def common_answers(models: Sequence[Mapping[Place, Sequence[Answer]]]) -> frozenset[int]:
    """The identities of the answers to compare: each model's by question and turn, and of these
    only those that every model with an answer has answered, without contention where it can be."""
    for usable in (_is_clean, _is_timed):
        kept = [
            {key: found for key, all_ in one.items() if (found := list(filter(usable, all_)))}
            for one in models
        ]
        kept = [one for one in kept if one]
        if len(kept) == sum(any(map(_is_timed, _flat(one))) for one in models) and kept:
            keys = set(kept[0]).intersection(*kept[1:])
            if keys:
                return frozenset(id(a) for one in kept for key in keys for a in one[key])
    return frozenset()


def _flat(model: Mapping[Place, Sequence[Answer]]) -> Iterable[Answer]:
    return (answer for answers in model.values() for answer in answers)


def _is_timed(answer: Answer) -> bool:
    has_time = answer.figures is not None and bool(answer.figures.e2e_ms)
    return answer.state == "answered" and has_time and answer.has_text


def _is_clean(answer: Answer) -> bool:
    return _is_timed(answer) and not (answer.figures and answer.figures.contended)


def _seconds_of(answer: Answer) -> float | None:
    """Of a whole answer with a text."""
    f = answer.figures
    return f.e2e_ms / 1000 if f and f.e2e_ms is not None and answer.has_text else None


_OfAnswer = Callable[[Answered, Answer], float | None]

_OF_ANSWER: dict[str, _OfAnswer] = {
    "ttft": lambda figures, _: figures.ttft_ms,
    "answer_ttft": lambda figures, _: answer_ttft(figures),
    "thought": lambda figures, _: figures.thought_tokens or None,
    "prefill": lambda figures, _: figures.prefill_tok_s,
    "tpot": lambda figures, _: figures.tpot_ms,
    "decode": lambda figures, _: figures.decode_tok_s,
    "e2e": lambda _, answer: _seconds_of(answer),
}


def _of_answers(
    done: Sequence[tuple[Answer, Answered]], of: _OfAnswer, places: Places, is_token_based: bool
) -> Figure:
    told = [(f, places[id(a)], value) for a, f in done if (value := of(f, a)) is not None]
    kept = [one for one in told if not one[0].contended] or told
    means = question_means((place, value) for _, place, value in kept)
    marks = _marks([figures for figures, _, _ in kept], is_token_based)
    return replace(marks, n=len(means), value=median(means) if means else None)


def _text_speed(done: Sequence[tuple[Answer, Answered]], places: Places) -> Figure:
    """The sum of characters over the sum of time, so that every second counts the same."""
    seconds = sum(figures.e2e_ms or 0.0 for _, figures in done)
    characters = sum(len(answer.text) for answer, _ in done)
    questions = {places[id(answer)][0] for answer, _ in done}
    marks = _marks([f for _, f in done], False)
    return replace(marks, n=len(questions), value=chars_s(characters, seconds))


def _marks(kept: Sequence[Answered], is_token_based: bool) -> Figure:
    return Figure(
        is_contended=any(one.contended for one in kept),
        is_estimated=is_token_based and any(one.token_source == "estimate" for one in kept),
        batch=max((one.batch for one in kept), default=1),
        threads=frozenset(one.threads for one in kept) - {0},
        reused=reused_share(kept),
    )


def _clean(values: Sequence[Timed]) -> list[Timed]:
    """Those without contention, or all where there are no others."""
    return [one for one in values if not one.contended] or list(values)


def _kept_loads(loads: Sequence[Loaded]) -> list[Loaded]:
    # Nothing is loaded for pasted answers.
    return _clean([one for one in loads if one.load_s])


def _load(loads: Sequence[Loaded], measured: Sequence[Measured]) -> Figure:
    kept = _kept_loads(loads)
    return Figure(
        median(one.load_s for one in kept) if kept else None,
        len(kept),
        is_standard=bool(measured),
        is_contended=any(one.contended for one in kept),
        threads=frozenset(one.threads for one in kept) - {0},
    )


def _load_peaks(loads: Iterable[Loaded]) -> list[PeakMemory]:
    """Sessions of earlier versions know only what was held at the end of loading."""
    return [
        PeakMemory(one.peak_private, one.peak_mapped)
        if one.peak_private
        else PeakMemory(one.private, one.mapped)
        for one in loads
    ]


def _peak(seen: Answered | Measured) -> PeakMemory:
    return PeakMemory(seen.peak_private, seen.peak_mapped)


def _highest(peaks: Sequence[PeakMemory]) -> PeakMemory:
    return max(peaks, key=lambda one: one.total, default=PeakMemory())
