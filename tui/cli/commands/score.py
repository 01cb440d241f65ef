"""``duibi score``: checks, overlap with references, and a judge model."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from tui.board import Answer
from tui.board.judgements import LEFT, NONE, RIGHT, TIE
from tui.cli.support import settings_in_force
from tui.cli.support.bertscore_process import EncoderFolder, EncoderLayer, scorer
from tui.cli.support.judge_model import MAX_NEW_TOKENS, Judge, judge_model
from tui.cli.support.options import Yes
from tui.cli.support.printing import heads, print_json, table, tell
from tui.events import RUN
from tui.host import foreign_files
from tui.host.errors import EXIT_FAILED, UserError
from tui.reports.evaluate import evaluate_checks, evaluate_overlaps
from tui.reports.evidence import judge_duels, verdicts_by_judge
from tui.reports.merge import (
    MergedSessions,
    ModelColumn,
    QuestionRow,
    dimensions_of,
    merge_sessions,
)
from tui.scoring import judge as judging
from tui.scoring import rank
from tui.scoring.agreement import compute_agreement
from tui.scoring.overlap import Scorer
from tui.sessions import library, reader
from tui.sessions.journal import Journal
from tui.text.sanitise import clean
from tui.text.translation import tr

app = typer.Typer(add_completion=False)

_MAX_RUBRIC = 1 << 20


@app.command(
    help="Score a session by program: the checks of its questions, the overlap with reference "
    "answers (shown, never used to rank), and a judge model whose verdicts are appended to "
    "the session. Without options: checks and overlap."
)
def score(
    session: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="A file, a name, the beginning of one, or `last`."),
    ],
    checks: Annotated[bool, typer.Option("--checks", help="The questions' checks.")] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="BLEU and chrF against the references.")
    ] = False,
    encoder: EncoderFolder = None,
    encoder_layer: EncoderLayer = 0,
    judge: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Judge every pair with it; several are a panel."),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What the judge is to consider, instead of the stars' dimensions."
        ),
    ] = None,
    plain_text: Annotated[
        bool, typer.Option("--plain-text", help="Take the Markdown off what the judge is shown.")
    ] = False,
    max_new_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, help="Tokens of a verdict with its reasons.")
    ] = MAX_NEW_TOKENS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="en|zh", help="Of the judge's prompt: en or zh; else that of the questions."
        ),
    ] = None,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
    yes: Yes = False,
) -> int:
    settings = settings_in_force.load({"lang": lang, "sessions": sessions}, judge or ())
    bert = scorer(encoder, encoder_layer) if encoder else None
    path = library.find(session, settings.sessions_dir)
    merged = merge_sessions([reader.read(path)])
    unread = False
    if judge:
        asked = merged.sources[0].recorded.header.questions
        of_prompt = lang or judging.prompt_language(asked, settings.screen.lang)
        job = _JudgeJob(path, merged, _rubric(rubric), plain_text, of_prompt)
        for reference_ in judge:
            with judge_model(reference_, settings, max_new_tokens, tell, yes) as model:
                unread = not _judge_all(job, model) or unread
        merged = merge_sessions([reader.read(path)])
    found: dict[str, Any] = {"session": path.name}
    everything = not (checks or reference or encoder or judge)
    if checks or everything:
        found["checks"] = _checks(merged)
    if reference or encoder or everything:
        found["overlap"] = _overlap(merged, bert)
    if judge:
        found["judged"] = _judged(merged)
        found["agreement"] = _agreement(merged)
    if as_json:
        print_json(found)
    else:
        _print(found, merged)
    return EXIT_FAILED if unread else 0


def _rubric(file: Path | None) -> str:
    if file is None:
        return ""
    return clean(foreign_files.read_text(file, _MAX_RUBRIC, "give a text file"))[:5000].strip()


class _JudgeJob:
    """What every judge is asked: all pairs of complete answers of a session, in one way."""

    def __init__(
        self, path: Path, merged: MergedSessions, rubric: str, plain_text: bool, lang: str
    ) -> None:
        """Raises:
        UserError: there is no pair.
        """
        self.path, self.rubric, self.plain_text, self.lang = path, rubric, plain_text, lang
        self.pairs = list(_pairs(merged))
        # A rubric of one's own stands in the place of the dimensions.
        known = () if rubric else dimensions_of(merged)
        self.dimensions = [(d.id, d.name(lang)) for d in known]
        if not self.pairs:
            raise UserError(
                f"{path.name} holds no question with two complete answers",
                "compare two models first",
            )


def _judge_all(job: _JudgeJob, judge: Judge) -> bool:
    """Have a judge judge all pairs and append each verdict as soon as it is there; whether any
    could be read."""
    journal = Journal.reopen(job.path)
    unread = 0
    try:
        for done, (row, a, b) in enumerate(job.pairs, 1):
            left, right = row.shown_answers(a), row.shown_answers(b)
            judgement = judging.judge_pair(
                judge.ask,
                "\n\n".join(answer.prompt for answer in left),
                _conversation(left),
                _conversation(right),
                job.rubric,
                job.lang,
                job.dimensions,
                job.plain_text,
            )
            kin = judging.is_same_family(judge.family, (_family(a), _family(b)))
            event = judgement.event(row.id, left[-1].id, right[-1].id, judge.label, kin)
            journal.append(journal.last_us, RUN, event)
            unread += event.choice == NONE
            place = f"{done}/{len(job.pairs)} {row.id}"
            tell(_progress_line(place, event.choice, a.label, b.label))
    finally:
        journal.close()
    if judge.cut:
        tell(
            f"{judge.label}: {judge.cut} of {judge.asked} replies were cut at "
            f"{judge.max_new_tokens} tokens; --max-new-tokens gives more"
        )
    if unread:
        all_ = len(job.pairs)
        tell(
            f"{judge.label} gave no readable verdict on {unread} of {all_} pairs; those do not "
            "count"
        )
        tell("  -> take a larger judge; what it said is in the report")
    return unread < len(job.pairs)


def _progress_line(place: str, choice: str, left: str, right: str) -> str:
    if choice in (LEFT, RIGHT):
        better, worse = (left, right) if choice == LEFT else (right, left)
        return f"{place}: {better} before {worse}"
    if choice == TIE:
        return f"{place}: a tie of {left} and {right}"
    return f"{place}: no readable verdict on {left} and {right}"


def _pairs(merged: MergedSessions) -> Iterator[tuple[QuestionRow, ModelColumn, ModelColumn]]:
    """Pairs of models that both have a complete answer with a text."""
    for row in merged.rows:
        ready = [
            column
            for column in merged.columns
            if (shown := row.shown_answers(column))
            and shown[-1].state == "answered"
            and shown[-1].has_text
        ]
        for a, b in combinations(ready, 2):
            yield row, a, b


def _conversation(answers: list[Answer]) -> str:
    if len(answers) == 1:
        return answers[0].text
    return "\n\n".join(f"({i}) {answer.text}" for i, answer in enumerate(answers, 1))


def _family(column: ModelColumn) -> str:
    loads = column.loads
    return (loads[-1].family if loads else "") or str(column.parts[0].head.get("family", ""))


def _checks(merged: MergedSessions) -> dict[str, Any]:
    results, problems = evaluate_checks(merged)
    rows = [
        {
            "model": column.label,
            "question": row.id,
            "answer": answer.id,
            "check": str(result.check),
            "passed": result.passed,
            "reason": result.reason,
        }
        for row in merged.rows
        for column in merged.columns
        for source, answer in row.answers_by_session(column)
        for result in results.get((source, answer.id), ())
    ]
    return {"results": rows, "problems": problems}


def _overlap(merged: MergedSessions, bert: Scorer | None) -> list[dict[str, Any]]:
    found = evaluate_overlaps(merged, bert).by_answer
    return [
        {
            "model": column.label,
            "question": row.id,
            "answer": answer.id,
            "bleu": found[source, answer.id].bleu,
            "chrf": found[source, answer.id].chrf,
            "bertscore_f1": found[source, answer.id].bert,
        }
        for row in merged.rows
        for column in merged.columns
        for source, answer in row.answers_by_session(column)
        if (source, answer.id) in found
    ]


def _judged(merged: MergedSessions) -> list[dict[str, Any]]:
    """The questions that each judge gave to each of two models."""
    return [
        {
            "judge": key.label,
            "left": c.left,
            "right": c.right,
            "wins": c.score.wins,
            "ties": c.score.ties,
            "losses": c.score.losses,
        }
        for key, verdicts in verdicts_by_judge(merged).items()
        for c in rank.compare_pairs(rank.pair_duels(judge_duels(merged, verdicts)), by_wins=True)
    ]


def _agreement(merged: MergedSessions) -> dict[str, Any]:
    board = merged.sources[0].board
    found = {
        key: compute_agreement([(board, [event for _, event in verdicts])])
        for key, verdicts in verdicts_by_judge(merged).items()
    }
    return {
        key.label: {
            "n": a.n,
            "same": a.same,
            "opposite": a.opposite,
            "kappa": a.kappa,
        }
        for key, a in found.items()
    }


def _print(found: dict[str, Any], merged: MergedSessions) -> None:
    labels = [column.label for column in merged.columns]
    if "checks" in found:
        results = found["checks"]["results"]
        rows = [
            (label, f"{sum(r['passed'] for r in mine)}/{len(mine)}")
            for label in labels
            if (mine := [r for r in results if r["model"] == label])
        ]
        print(
            table([heads("MODEL", "CHECKS PASSED"), *rows])
            if rows
            else tr("no question has checks")
        )
        for problem in found["checks"]["problems"]:
            tell(f"question {problem}")
    if "overlap" in found:
        keys = ["bleu", "chrf"]
        if any(r["bertscore_f1"] is not None for r in found["overlap"]):
            keys.append("bertscore_f1")
        scored = [
            (label, *(f"{median(r[key] for r in mine):.1f}" for key in keys))
            for label in labels
            if (mine := [r for r in found["overlap"] if r["model"] == label])
        ]
        head = heads("MODEL", *(key.replace("_", " ").upper() for key in keys))
        print(table([head, *scored]) if scored else tr("no question has a reference answer"))
    if judged := found.get("judged"):
        names = ("judge", "left", "right", "wins", "ties", "losses")
        titles = heads("JUDGE", "MODEL", "AGAINST", "WINS", "TIES", "LOSSES")
        print(table([titles, *(tuple(str(row[name]) for name in names) for row in judged)]))
    for judge, a in found.get("agreement", {}).items():
        if not a["n"]:
            continue
        kappa = "-" if a["kappa"] is None else f"{a['kappa']:.2f}"
        said = f"{judge} and people agree on {a['same']} of {a['n']} pairs, kappa {kappa}"
        print(clean(tr(said)))


command = typer.main.get_command(app)
