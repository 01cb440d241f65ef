"""``duibi rank``: who is better, by whose judgement, and how sure that is."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from tui.cli.support import settings_in_force
from tui.cli.support.printing import heads, print_json, table
from tui.cli.support.session_files import read_sessions
from tui.host.errors import UserError
from tui.reports import evidence
from tui.reports.caveats import describe_caveats
from tui.reports.certainty import SHARE, STARS, describe_certainty
from tui.reports.merge import MergedSessions, merge_sessions
from tui.reports.messages import ReportMessages, report_messages
from tui.scoring import bradley_terry, rank
from tui.scoring.rank import Comparison, Duel
from tui.text.sanitise import clean

app = typer.Typer(add_completion=False)

_ON_RATINGS = {"ok": "r_ratings", "few": "r_few", "apart": "r_apart"}


@app.command(
    "rank",
    help="Rank the models of one or several sessions of the same questions by votes, by stars "
    "and by each judge: questions won, tied and lost, how sure that is, and ratings.",
)
def rank_(
    session: Annotated[
        list[str],
        typer.Argument(metavar="SESSION", help="Files, names, beginnings of one, or `last`."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    lang: Annotated[str | None, typer.Option(metavar="en|zh", help="en or zh.")] = None,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    settings = settings_in_force.load({"lang": lang, "sessions": sessions})
    merged = merge_sessions(read_sessions(session, settings.sessions_dir))
    found = _evidence(merged)
    if not found:
        raise UserError(
            "nothing to rank by: stars, votes and verdicts of a judge are of no two models",
            f"`duibi rate {session[0]}`, or `duibi score {session[0]} --judge MODEL`",
        )
    labels = [column.label for column in merged.columns]
    say = report_messages(settings.screen.lang)
    if as_json:
        print_json({by: _document(found[by], labels) for by in found})
    else:
        for by, comparisons in found.items():
            _print_ranking(by, comparisons, merged, say)
    return 0


def _evidence(merged: MergedSessions) -> dict[str, list[Comparison]]:
    """Comparisons by their origin: ``votes``, ``stars``, ``judge NAME``, and of several judges
    ``panel``."""
    found = {
        "votes": _compare(evidence.vote_duels(merged)),
        "stars": rank.compare_pairs(rank.pair_models(evidence.star_samples(merged))),
    }
    by_judge = evidence.verdicts_by_judge(merged)
    for key, verdicts in by_judge.items():
        found[f"judge {key.label}"] = _compare(evidence.judge_duels(merged, verdicts))
    found["panel"] = _compare(evidence.panel_duels(merged, by_judge))
    return {by: comparisons for by, comparisons in found.items() if comparisons}


def _compare(duels: Sequence[Duel]) -> list[Comparison]:
    return rank.compare_pairs(rank.pair_duels(duels), by_wins=True)


def _document(comparisons: Sequence[Comparison], labels: Sequence[str]) -> dict[str, Any]:
    order = _order(comparisons, labels)
    overall = rank.overall_scores(comparisons)
    why = bradley_terry.why_no_ratings(comparisons)
    ratings = {} if why else bradley_terry.fit_ratings(comparisons)
    return {
        "models": [
            {
                "model": m,
                **_counts(overall[m]),
                "rating": ratings[m].value if m in ratings else None,
                "rating_interval": ratings[m].interval if m in ratings else None,
            }
            for m in order
        ],
        "pairs": [
            {
                "left": c.left,
                "right": c.right,
                **_counts(c.score),
                "interval": list(c.score.interval),
                "verdict": c.verdict,
                "p": c.p,
                "difference": {"questions": c.n, "mean": c.gap, "interval": c.interval},
            }
            for c in _pairs(comparisons, order)
        ],
        "ring": rank.find_ring(comparisons),
        "ratings": why or "ok",
    }


def _order(comparisons: Sequence[Comparison], labels: Sequence[str]) -> list[str]:
    met = {model for c in comparisons for model in (c.left, c.right)}
    return [label for label in rank.rank_models(comparisons, labels) if label in met]


def _pairs(comparisons: Sequence[Comparison], order: Sequence[str]) -> list[Comparison]:
    found = (rank.find_comparison(comparisons, a, b) for a, b in combinations(order, 2))
    return [c for c in found if c is not None]


def _print_ranking(
    by: str, comparisons: Sequence[Comparison], merged: MergedSessions, say: ReportMessages
) -> None:
    found = _document(comparisons, [column.label for column in merged.columns])
    kind, _, judge = by.partition(" ")
    head = heads(
        f"BY {kind.upper()} {judge}".rstrip(), "WINS", "TIES", "LOSSES", "SHARE", "RATING", "95 %"
    )
    rows = [(m["model"], *_cells(m)) for m in found["models"]]
    print(table([head, *rows]))
    if any(m["ties"] for m in found["models"]):
        print(clean(say("r_share")))
    scale = STARS if by == "stars" else SHARE
    for c in _pairs(comparisons, [m["model"] for m in found["models"]]):
        both = merged.labelled(c.left), merged.labelled(c.right)
        clear = describe_certainty(c, scale, say) + describe_caveats(*both, merged, False, say)
        print(clean(say("r_pair", a=c.left, b=c.right, clear=clear)))
    if ring := found["ring"]:
        print(clean(say("c_ring", topic=_topic(by, say), ring=" > ".join([*ring, ring[0]]))))
    print(say(_ON_RATINGS[found["ratings"]], n=bradley_terry.MIN_QUESTIONS))
    print()


def _topic(by: str, say: ReportMessages) -> str:
    """In words what a ranking goes by."""
    kind, _, judge = by.partition(" ")
    return say(f"c_{kind}_topic", judge=judge)


def _cells(m: dict[str, Any]) -> tuple[str, ...]:
    share = "-" if m["share"] is None else f"{m['share']:.0%}"
    counts = (str(m[key]) for key in ("wins", "ties", "losses"))
    rating = "-" if m["rating"] is None else f"{m['rating']:.0f}"
    between = m["rating_interval"]
    rating_range = "-" if between is None else f"{between[0]:.0f}-{between[1]:.0f}"
    return (*counts, share, rating, rating_range)


def _counts(score: rank.Score) -> dict[str, Any]:
    return {
        "wins": score.wins,
        "ties": score.ties,
        "losses": score.losses,
        "share": score.share,
    }


command = typer.main.get_command(app)
