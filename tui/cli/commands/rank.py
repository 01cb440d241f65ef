"""``duibi rank``: who is better, by whose judgement, and how sure that is."""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from tui import settings as settings_of
from tui.cli.support.printing import json_text, table
from tui.cli.support.session_files import read_sessions
from tui.host.errors import UserError
from tui.reports import score_tables
from tui.reports.conclusion import stars_by_question
from tui.reports.merge import MergedSessions, merge_sessions
from tui.scoring import bradley_terry, rank
from tui.scoring.rank import Duel, MeanDifference
from tui.text.sanitise import clean

app = typer.Typer(add_completion=False)

_IN_WORDS = {
    "better": "{a} is better than {b}",
    "worse": "{b} is better than {a}",
    "unclear": "no clear difference between {a} and {b}",
}
_OBSTACLES = {
    "few": f"no ratings: some pair was compared less than {bradley_terry.MIN_VOTES} times",
    "apart": "no ratings: some models never lost to, or never beat, the others",
    "missing": "no ratings: evalica is not installed (`pip install 'duibi[ratings]'`)",
}


@app.command(
    "rank",
    help="Rank the models of one or several sessions of the same questions by votes, by stars "
    "and by each judge: wins, ties and losses with 95 % intervals, and the difference over "
    "questions.",
)
def rank_(
    session: Annotated[
        list[str], typer.Argument(help="Files, names, beginnings of one, or `last`.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_of.load({"sessions": sessions})
    merged = merge_sessions(read_sessions(session, settings.sessions_dir))
    evidence = {by: _ranked(duels, merged) for by, duels in _evidence(merged).items() if duels}
    if not evidence:
        raise UserError(
            "nothing to rank by: no stars, no votes, no verdicts of a judge",
            f"`duibi rate {session[0]}`, or `duibi score {session[0]} --judge MODEL`",
        )
    if as_json:
        print(json_text(evidence))
    else:
        for by, found in evidence.items():
            _print_ranking(by, found)
    return 0


def _evidence(merged: MergedSessions) -> dict[str, list[Duel]]:
    """Comparisons by their origin: ``votes``, ``stars``, and ``judge NAME``."""
    judged = {
        f"judge {judge}": score_tables.judge_duels(merged, found)
        for judge, found in score_tables.verdicts_by_judge(merged).items()
    }
    return {"votes": score_tables.vote_duels(merged), "stars": _star_duels(merged), **judged}


def _star_duels(merged: MergedSessions) -> list[Duel]:
    """Of each question: the model with more stars on average wins."""
    means = {column.label: stars_by_question(column, merged) for column in merged.columns}
    found = []
    for a, b in combinations(means, 2):
        for question in sorted(means[a].keys() & means[b].keys()):
            gap = means[a][question] - means[b][question]
            result = "left" if gap > 0 else "right" if gap < 0 else "tie"
            found.append(Duel(question, a, b, result))
    return found


def _ranked(duels: list[Duel], merged: MergedSessions) -> dict[str, Any]:
    overall = rank.overall_scores(duels)
    labels = [column.label for column in merged.columns if column.label in overall]
    order = rank.rank_models(overall, labels)
    scores = rank.pairwise_scores(duels)
    met = [(a, b) for a, b in combinations(order, 2) if (a, b) in scores]
    ratings, why = _ratings(duels)
    return {
        "models": [{"model": m, **_score(overall[m]), "rating": ratings.get(m)} for m in order],
        "pairs": [
            {
                "left": a,
                "right": b,
                **_score(scores[a, b]),
                "verdict": scores[a, b].verdict,
                "difference": _difference(
                    rank.paired_bootstrap(*rank.points_by_question(duels, a, b))
                ),
            }
            for a, b in met
        ],
        "ratings": why or "ok",
    }


def _ratings(duels: list[Duel]) -> tuple[dict[str, float], str]:
    if why := bradley_terry.why_no_ratings(duels):
        return {}, why
    try:
        return bradley_terry.fit_ratings(duels), ""
    except ImportError:
        return {}, "missing"


def _score(score: rank.DuelScore) -> dict[str, Any]:
    low, high = score.interval
    return {
        "wins": score.wins,
        "ties": score.ties,
        "losses": score.losses,
        "share": score.share,
        "interval": [low, high],
    }


def _difference(found: MeanDifference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"questions": found.n, "mean": found.mean, "interval": found.interval}


def _print_ranking(by: str, found: dict[str, Any]) -> None:
    head = (f"BY {by.upper()}", "WINS", "TIES", "LOSSES", "SHARE", "95 %", "RATING")
    rows = [(m["model"], *_cells(m), _rating(m["rating"])) for m in found["models"]]
    print(table([head, *rows]))
    for pair in found["pairs"]:
        words = _IN_WORDS[pair["verdict"]].format(a=pair["left"], b=pair["right"])
        gap = pair["difference"]
        over = f" over {gap['questions']} questions" if gap else ""
        if gap and gap["interval"]:
            low, high = gap["interval"]
            over += f", points a question {gap['mean']:+.2f} (95 %: {low:+.2f} to {high:+.2f})"
        print(clean(f"{words}: {pair['wins']} to {pair['losses']}{over}"))
    if found["ratings"] in _OBSTACLES:
        print(_OBSTACLES[found["ratings"]])
    print()


def _cells(m: dict[str, Any]) -> tuple[str, ...]:
    share = "-" if m["share"] is None else f"{m['share']:.0%}"
    low, high = m["interval"]
    counts = (str(m[key]) for key in ("wins", "ties", "losses"))
    return (*counts, share, f"{low:.0%}-{high:.0%}")


def _rating(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


command = typer.main.get_command(app)
