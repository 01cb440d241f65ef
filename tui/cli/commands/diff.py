"""``duibi diff``: two runs of the same questions, and whether the second one is good enough."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tui.cli.support import settings_in_force
from tui.cli.support.printing import heads, print_json, table, tell
from tui.cli.support.session_files import read_sessions
from tui.host.errors import UserError
from tui.reports.document import format_figure
from tui.reports.messages import report_messages
from tui.reports.run_diff import (
    COUNTS,
    SHARES,
    Figure,
    ModelDiff,
    Rule,
    diff_sessions,
    is_broken,
    parse_rule,
)
from tui.text.sanitise import clean, collapse_line
from tui.text.translation import tr

app = typer.Typer(add_completion=False)

EXIT_BROKEN_RULE = 1
_MAX_LISTED = 10
_WORDS = {
    "changed": "changed answers",
    "similarity": "text in common",
    "incomplete": "answers failed or broken off",
    "cut": "answers cut short",
    "empty": "answers without text",
    "checks": "checks passed",
    "stars": "stars",
    "e2e": "time to the end of an answer, ms",
    "ttft": "time to the first token of the answers, ms",
    "tpot": "time per token of the answers, ms",
    "chars_s": "text speed, chars/s",
    "length": "length, chars",
    "memory": "peak memory, loading included, GB",
}
"""What the figures are that rules name."""
_HOW = (
    "times and lengths are medians over questions; their change is the geometric mean of the "
    "ratios, question by question"
)


@app.command(
    help="Compare two runs of the same questions, model by model: changed answers, checks, stars, "
    "times, memory. With --fail-if the exit code is 1 where a rule holds."
)
def diff(
    first: Annotated[
        str, typer.Argument(metavar="BEFORE", help="The run before: a file, a name, its beginning.")
    ],
    second: Annotated[str, typer.Argument(metavar="AFTER", help="The run after, or `last`.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="E.g. `changed>0`, `similarity<90%`, `checks<0`, `e2e>1.2` (times slower); may be "
            "given several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    sessions: Annotated[Path | None, typer.Option(metavar="DIR", help="Look there.")] = None,
) -> int:
    rules = [parse_rule(text) for text in fail_if or ()]
    settings = settings_in_force.load({"sessions": sessions})
    read = read_sessions([first, second], settings.sessions_dir)
    if len(read) < 2:
        raise UserError(f"{first} and {second} are the same run", "give two runs")
    found = diff_sessions(read[0], read[1], report_messages(settings.screen.lang))
    if not as_json:
        for one in found:
            _print(one)
        if any(f.is_ratio and f.change is not None for one in found for f in one.figures.values()):
            tell(_HOW)
    broken = [(rule, one) for one in found for rule in rules if is_broken(rule, one)]
    if as_json:
        print_json({"models": [_document(one) for one in found], "broken": _told(broken)})
    for rule, one in broken:
        change = _change(rule.figure, one.figures[rule.figure])
        tell(f"{rule.text} holds for {one.after}: {change}")
    return EXIT_BROKEN_RULE if broken else 0


def _told(broken: list[tuple[Rule, ModelDiff]]) -> list[dict[str, str]]:
    return [{"rule": rule.text, "model": one.after} for rule, one in broken]


def _document(found: ModelDiff) -> dict[str, Any]:
    return {
        "before": found.before,
        "after": found.after,
        "questions": found.n,
        "asked": found.asked,
        "beware": found.beware.lstrip(".。 "),
        "figures": {
            name: {"before": f.before, "after": f.after, "change": f.change}
            for name, f in found.figures.items()
        },
        "changed": [
            {"question": one.number, "title": one.title, "similarity": one.similarity}
            for one in found.changed
        ],
    }


def _print(found: ModelDiff) -> None:
    names = (found.before,) if found.before == found.after else (found.before, found.after)
    title = " -> ".join(collapse_line(name) for name in names)
    said = tr(f"{title}: {found.n} of {found.asked} questions answered in both runs")
    print(clean(f"{said}{found.beware}"))
    rows = [
        (name, tr(_WORDS[name]), _value(name, f.before), _value(name, f.after), _change(name, f))
        for name, f in found.figures.items()
        if f.change is not None
    ]
    print(table([heads("RULE", "FIGURE", "BEFORE", "AFTER", "CHANGE"), *rows]))
    for one in found.changed[:_MAX_LISTED]:
        title = collapse_line(one.title)
        print(clean(tr(f"question {one.number} ({title}): {one.similarity:.0%} the same")))
    if len(found.changed) > _MAX_LISTED:
        print(clean(tr(f"{len(found.changed) - _MAX_LISTED} more changed questions")))
    print()


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in SHARES:
        return f"{value:.0%}"
    if name in COUNTS:
        return f"{value:.0f}"
    return format_figure(value / 1e9 if name == "memory" else value)


def _change(name: str, figure: Figure) -> str:
    """With its sign where there is a before and an after; else the figure itself."""
    change = figure.change
    assert change is not None
    if figure.is_ratio:
        return f"×{change:.3g}"
    text = _value(name, abs(change))
    if figure.before is None:
        return text
    return f"{'-' if change < 0 else '+'}{text}" if change else "0"


command = typer.main.get_command(app)
