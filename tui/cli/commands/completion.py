"""``duibi completion SHELL``: what a shell reads to complete the program's words."""

from typing import Annotated

import typer

from tui.cli.support.completion import SCRIPTS
from tui.host.errors import UserError

app = typer.Typer(add_completion=False)


@app.command(help="Print what bash, zsh or fish reads to complete commands, models and sessions.")
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    if shell not in SCRIPTS:
        raise UserError(f"{shell!r} is none of {', '.join(SCRIPTS)}", "name one of them")
    print(SCRIPTS[shell], end="")
    return 0


command = typer.main.get_command(app)
