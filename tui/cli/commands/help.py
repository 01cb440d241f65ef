"""``duibi help TOPIC``: the pages of docs/ that came with the program."""

from pathlib import Path
from typing import Annotated

import typer

from tui.cli.support import help_pages
from tui.cli.support.printing import table
from tui.host.errors import UserError
from tui.text import translation
from tui.text.sanitise import clean
from tui.text.translation import tr

app = typer.Typer(add_completion=False)


@app.command(help="Print a page of the documentation; without a name the pages there are.")
def help_(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The name of a page.")] = "",
) -> int:
    pages = help_pages.find(translation.language())
    if not topic:
        print(table([(name, tr(_title(path))) for name, path in pages.items()]))
        return 0
    if topic not in pages:
        raise UserError(f"there is no page {topic!r}", f"there are {', '.join(pages)}")
    print(clean(help_pages.read(pages[topic]).rstrip()))
    return 0


def _title(page: Path) -> str:
    title = help_pages.title(page)
    is_other = translation.language() == "zh" and not page.name.endswith(".zh.md")
    return f"{title} (in English)" if is_other else title


command = typer.main.get_command(app)
