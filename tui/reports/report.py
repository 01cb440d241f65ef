"""One or several sessions as a document to hand in."""

from collections.abc import Mapping, Sequence
from functools import partial

from tui import board as bd
from tui.metrics import FORMULAS
from tui.reports import evidence, score_tables
from tui.reports.answers import build_sections, list_problems
from tui.reports.charts import draw_charts
from tui.reports.conclusion import build_conclusion
from tui.reports.context_table import context_table
from tui.reports.cost_tables import build_cost_tables, glances_of
from tui.reports.disagreement_table import describe_differences, disagreement_table
from tui.reports.document import Document, Table
from tui.reports.evaluate import evaluate_checks, evaluate_overlaps
from tui.reports.form_tables import ability_table, form_table
from tui.reports.judge_tables import judge_name, judge_tables
from tui.reports.layout import SHIPPED, Template, find_template, lay_out
from tui.reports.merge import MergedSessions, QuestionRow, dimensions_of, merge_sessions
from tui.reports.messages import ReportMessages, report_messages
from tui.reports.overview import build_overview, list_links
from tui.reports.parting import parting_table
from tui.reports.run_tables import build_run_tables
from tui.reports.score_charts import draw_score_charts
from tui.reports.strengths import sketch_models
from tui.reports.svg import make_inert
from tui.reports.title_page import build_title_page
from tui.reports.uses import recommend
from tui.scoring import paired
from tui.scoring.checks import CheckResult
from tui.scoring.overlap import Scorer
from tui.sessions.reader import RecordedSession
from tui.text.sanitise import collapse_line

_WORDS = (
    *("contents", "run", "comparison", "charts", "answers", "troubles", "conclusion"),
    *("footnotes", "none", "reasoning", "colon", "picture", "author", "own_words"),
    *("abstract", "strengths", "overview", "lessons", "thanks", "uses"),
    *("p_abstract", "p_setup", "p_analysis", "p_strengths", "p_conclusion", "p_difficulties"),
    *(
        "p_improvements",
        "p_context",
        "p_thanks",
        "p_published",
        "p_appendix",
        "appendix",
        "st_good",
        "st_bad",
        "st_traits",
    ),
)
"""What a template and the writers can say."""
MAX_CHARTS = 6
_FOOTNOTES = ("f_times", "f_spread", "f_bytes", "f_tokens", "f_rank")

_FOOTNOTE_VALUES = {
    "exact": paired.EXACT_UP_TO,
    "draws": f"{paired.DRAWS:,}",
    "seed": paired.SEED,
}


def build_report(
    sessions: Sequence[RecordedSession],
    lang: str,
    pictures: Mapping[str, str] | None = None,
    scorer: Scorer | None = None,
    template: Template | None = None,
    own_words: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> Document:
    """The report of sessions of the same questions, laid out by a template (the first of the
    shipped ones by default).

    ``pictures`` are screenshots as SVG by question id; ``scorer`` computes BERTScore;
    ``own_words`` are what a person wrote, by the id of its place; ``facts`` what a person says of
    the report (`tui.setting_kinds.REPORT_FACTS`).

    Raises:
        UserError: the sessions asked different questions, there is no such language,
            ``scorer`` cannot score, or the template cannot be rendered.
    """
    say = report_messages(lang)
    safe = {question: make_inert(svg) for question, svg in (pictures or {}).items()}
    document = build_document(merge_sessions(sessions), say, safe, scorer, facts or {})
    return lay_out(document, template or find_template(SHIPPED[0]), own_words or {})


def build_document(
    merged: MergedSessions,
    say: ReportMessages,
    pictures: Mapping[str, str],
    scorer: Scorer | None,
    facts: Mapping[str, str],
) -> Document:
    """The parts of the report of what was merged."""
    glances = glances_of(merged)
    page = build_title_page(merged, facts, say)
    checked, problems = evaluate_checks(merged)
    results = evidence.results_by_answer(merged, checked)
    dims = dimensions_of(merged)
    sketches, basis = sketch_models(merged, glances, checked, dims, say)
    votes = evidence.vote_duels(merged)
    by_judge = evidence.verdicts_by_judge(merged)
    judged = {
        judge_name(key, say): evidence.judge_duels(merged, found) for key, found in by_judge.items()
    }
    unread = {
        judge_name(key, say): sum(j.choice == "none" for _, j in found)
        for key, found in by_judge.items()
    }
    panel = evidence.panel_duels(merged, by_judge)
    scored = (
        score_tables.stars_table(merged, dims, glances, say),
        score_tables.star_pairs_table(merged, say),
        *build_cost_tables(merged, glances, say),
        score_tables.votes_table(votes, merged, say),
        *judge_tables(merged, by_judge, judged, panel, say),
        score_tables.checks_table(merged, checked, say),
        ability_table(merged, checked, say),
        context_table(merged, checked, say),
        form_table(merged, say),
        disagreement_table(merged, results, say),
        parting_table(merged, say),
        score_tables.overlap_table(merged, evaluate_overlaps(merged, scorer), say),
    )
    charts = (
        *draw_score_charts(merged, glances, checked, dims, say),
        *draw_charts(merged, glances, say),
    )
    return Document(
        lang=say.language,
        title=page.title,
        subtitle=page.subtitle,
        words={key: say(key) for key in _WORDS} | {"st_note": basis},
        title_page=page,
        abstract=_abstract(merged, facts, say),
        run=build_run_tables(merged, say),
        overview=build_overview(merged.columns, say),
        comparison=tuple(found for found in scored if isinstance(found, Table)),
        charts=charts[:MAX_CHARTS],
        sections=build_sections(
            merged,
            dims,
            partial(_check_line, results),
            lambda row: describe_differences(merged, row, results, say),
            pictures,
            say,
        ),
        troubles=(*list_problems(merged, say), *(f"{say('checks')}: {p}" for p in problems)),
        models=sketches,
        uses=recommend(merged, glances, checked, votes, judged, say),
        conclusion=build_conclusion(
            merged, glances, checked, votes, judged, unread, panel, dims, say
        ),
        footnotes=tuple(
            say(key, **_FOOTNOTE_VALUES, **FORMULAS[say.language]) for key in _FOOTNOTES
        ),
        links=list_links(merged.columns),
        counts=_counts(merged),
    )


def _abstract(
    merged: MergedSessions, facts: Mapping[str, str], say: ReportMessages
) -> tuple[str, ...]:
    """What was compared, and before it what a person says of it in the settings."""
    names = say("and").join(collapse_line(column.label) for column in merged.columns)
    asked = sum(bool(row.answer_ids) for row in merged.rows)
    done = [c for c in merged.columns if any(a.state == "answered" for a in c.answers)]
    key = "a_what" if len(done) > 1 else "a_only" if done else "a_nothing"
    told = say(
        "a_one" if len(merged.columns) == 1 and done else key,
        n=say("n_of", n=asked, of=len(merged.rows)) if asked < len(merged.rows) else asked,
        models=names,
        model=collapse_line(done[0].label) if done else "",
        answers=_counts(merged)["answers"],
    )
    own = collapse_line(facts.get("abstract", ""))
    return (own, told) if own else (told,)


def _counts(merged: MergedSessions) -> dict[str, int]:
    answers = [answer for column in merged.columns for answer in column.answers]
    return {
        "models": len(merged.columns),
        "questions": len(merged.rows),
        "answers": sum(answer.state == "answered" for answer in answers),
        "stars": sum(len(answer.ratings) for answer in answers),
        "votes": sum(len(source.board.ballots) for source in merged.sources),
    }


def _check_line(
    results: Mapping[int, Sequence[CheckResult]], _: QuestionRow, answer: bd.Answer
) -> str:
    """How an answer did in its checks, by the `id` of the answer; empty without any."""
    return " · ".join(
        f"{'✓' if r.passed else '✗'} {collapse_line(r.check)}"
        + (f" ({r.reason})" if r.reason else "")
        for r in results.get(id(answer), ())
    )
