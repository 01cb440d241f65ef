"""One or several sessions as a document to hand in."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tui
from tui import board as bd
from tui.reports import score_tables
from tui.reports.answers import sections, troubles
from tui.reports.charts import charts
from tui.reports.conclusion import conclusion
from tui.reports.cost_tables import cost_tables
from tui.reports.document import Document, Table
from tui.reports.evaluate import check_results, overlaps
from tui.reports.merge import Merged, Row, merge
from tui.reports.run_tables import run_tables
from tui.reports.svg import inert
from tui.reports.words import Voice, voice
from tui.scoring.checks import Result
from tui.scoring.costs import costs
from tui.scoring.dimensions import Dimension, dimensions
from tui.scoring.overlap import Scorer
from tui.sessions.reader import Reading

_HEADINGS = (
    *("contents", "run", "comparison", "charts", "answers", "troubles", "conclusion"),
    *("footnotes", "none", "reasoning", "picture"),
)
_FOOTNOTES = ("f_times", "f_spread", "f_bytes", "f_tokens", "f_rank")


def build(
    readings: Sequence[Reading],
    lang: str,
    clean: Callable[[str], str],
    pictures: Mapping[str, str] | None = None,
    images: Mapping[str, str] | None = None,
    scorer: Scorer | None = None,
) -> Document:
    """The report of sessions of the same questions.

    ``clean`` makes text that is not ours harmless (`tui.text.sanitise.clean`);
    ``pictures`` are screenshots as SVG by question id, ``images`` addresses of them as PNG,
    which are shown in their place; ``scorer`` computes BERTScore.

    Raises:
        UserError: the sessions asked different questions, there is no such language, or
            ``scorer`` cannot score.
    """
    speak = voice(lang, clean)
    images = images or {}
    safe = {q: inert(svg) for q, svg in (pictures or {}).items() if q not in images}
    return document(merge(readings), speak, safe, images, scorer)


def document(
    merged: Merged,
    speak: Voice,
    pictures: Mapping[str, str],
    images: Mapping[str, str],
    scorer: Scorer | None = None,
) -> Document:
    """The report of what was merged."""
    table = {column.key: costs(column.loads, column.answers) for column in merged.columns}
    checked, problems = check_results(merged)
    dims = dimensions_of(merged)
    votes = score_tables.vote_duels(merged)
    judged = {
        judge: score_tables.judge_duels(merged, found)
        for judge, found in score_tables.verdicts(merged).items()
    }
    scored = (
        score_tables.stars_table(merged, dims, table, speak),
        *cost_tables(merged.columns, table, speak),
        score_tables.duel_table(speak("votes"), votes, merged, speak),
        *score_tables.judge_tables(merged, speak),
        score_tables.checks_table(merged, checked, speak),
        score_tables.overlap_table(merged, overlaps(merged, scorer), speak),
    )
    return Document(
        lang=speak.lang,
        title=_title(merged, speak),
        subtitle=_subtitle(merged, speak),
        headings={key: speak(key) for key in _HEADINGS},
        run=run_tables(merged, speak),
        comparison=tuple(found for found in scored if isinstance(found, Table)),
        charts=charts(merged, speak),
        sections=sections(
            merged, dims, _check_line(merged, checked, speak), pictures, images, speak
        ),
        troubles=(*troubles(merged, speak), *(f"{speak('checks')}: {p}" for p in problems)),
        conclusion=conclusion(merged, table, votes, judged, dims, speak),
        footnotes=tuple(speak(key) for key in _FOOTNOTES),
    )


def dimensions_of(merged: Merged) -> tuple[Dimension, ...]:
    """The dimensions that stars were, or would be, given in."""
    given: Any = None
    for source in merged.sources:
        header = source.reading.header
        given = given or header.questions.get("dimensions") or header.settings.get("dimensions")
    rated = (d for column in merged.columns for a in column.answers for d in a.stars)
    return dimensions(given, rated)


def _title(merged: Merged, speak: Voice) -> str:
    questions = merged.sources[0].reading.header.questions
    name = speak.line(questions.get("title") or questions.get("name") or "duibi")
    key = "title_one" if len(merged.columns) == 1 else "title"
    return speak(key, set=name, n=len(merged.columns))


def _subtitle(merged: Merged, speak: Voice) -> str:
    days = sorted({source.reading.header.started[:10] for source in merged.sources})
    return speak("made", dates=speak.line(", ".join(days)), version=tui.__version__)


def _check_line(
    merged: Merged, checked: Mapping[tuple[int, int], Sequence[Result]], speak: Voice
) -> Callable[[Row, bd.Answer], str]:
    by_answer = {
        id(source.board.answers[answer]): results
        for source in merged.sources
        for (index, answer), results in checked.items()
        if index == source.index
    }

    def line(_: Row, answer: bd.Answer) -> str:
        results = by_answer.get(id(answer), ())
        return " · ".join(
            f"{'✓' if r.passed else '✗'} {speak.line(r.check)}"
            + (f" ({r.reason})" if r.reason else "")
            for r in results
        )

    return line
