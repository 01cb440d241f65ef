"""``duibi questions``: the sets there are, what is in one, whether a file is one."""

from typing import Annotated

import typer

from tui import questions as sets
from tui.cli.support.printing import heads, print_json, table, tell
from tui.host.errors import UserError
from tui.questions import QuestionSet, Reading
from tui.text.sanitise import clean, one_line
from tui.text.translation import tr

app = typer.Typer(add_completion=False, help="List, show and check question sets.")

Set = Annotated[str, typer.Argument(metavar="SET", help="A built-in set or a file.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("list", help="The built-in sets.")
def list_(json: Json = False) -> int:
    found = [sets.load(name) for name in sets.BUILT_IN]
    if json:
        print_json([_summary(one) for one in found])
    else:
        head = heads("NAME", "QUESTIONS", "LANGUAGE", "TITLE")
        print(table([head, *(tuple(map(str, _summary(one).values())) for one in found)]))
    return 0


@app.command(help="The questions of a set.")
def show(set_: Set, json: Json = False) -> int:
    chosen = sets.load(set_)
    if json:
        print_json(chosen.to_json())
        return 0
    print(one_line(tr(f"{chosen.title} ({chosen.name}, {len(chosen.questions)} questions)")))
    for number, question in enumerate(chosen.questions, 1):
        print(one_line(f"\n{number} {question.id}  {question.category}".strip("\n")))
        for turn in question.turns:
            print(clean(f"  {turn}"))
    return 0


@app.command(help="Say whether files are question sets; of each the first error with its line.")
def check(
    files: Annotated[list[str], typer.Argument(metavar="SET", help="A built-in set or a file.")],
) -> int:
    worst = 0
    for file in files:
        try:
            chosen = sets.load(file)
        except UserError as error:
            worst = error.exit_code
            tell(f"duibi: {error.message}")
            if error.next_step:
                tell(f"  -> {error.next_step}")
            continue
        turns = sum(len(question.turns) for question in chosen.questions)
        said = f"{file}: {len(chosen.questions)} questions, {turns} turns: all right"
        print(one_line(tr(said)))
        if chosen.reading is not None:
            for line in _reading_lines(chosen, chosen.reading):
                print(one_line(f"  {line}"))
    return worst


def _reading_lines(chosen: QuestionSet, reading: Reading) -> list[str]:
    """The format of a file, what its fields were taken for, and how many checks that made."""
    by_meaning: dict[str, list[str]] = {}
    for name, meaning in reading.fields.items():
        by_meaning.setdefault(meaning, []).append(name or "(no name)")
    checks = sum(len(question.checks) for question in chosen.questions)
    last = [tr(f"{checks} answers are checked by program")] if checks else []
    fields = [f"{', '.join(names[:20])} -> {tr(says)}" for says, names in by_meaning.items()]
    return [f"{tr(reading.format)}, {reading.encoding}", *map(tr, reading.parts), *fields, *last]


def _summary(chosen: QuestionSet) -> dict[str, str | int]:
    return {
        "name": chosen.name,
        "questions": len(chosen.questions),
        "language": chosen.language,
        "title": chosen.title,
    }


command = typer.main.get_command(app)
