"""What a report of a fault needs to hold: versions, the machine, what is wrong; no secret, no name
of a person or a computer, no path of a home folder."""

import os
import platform
import re
from collections.abc import Sequence

from tui.cli.support.machine_checks import Finding
from tui.host import paths
from tui.host.secrets import redact_secrets
from tui.run.setup import versions
from tui.text.sanitise import one_line

_PATH = re.compile(r"[^\s|]*/[^\s|]*")


def render(findings: Sequence[Finding]) -> str:
    """The report as Markdown, in English: whoever reads it may speak another language."""
    told = versions()
    packages = ", ".join(f"{name} {version}" for name, version in told["packages"].items())
    lines = [
        "## What happened",
        "",
        "(What did you do, what did you expect, what came instead?)",
        "",
        "## Versions",
        "",
        f"- duibi {told['duibi']}, Python {told['python']}, {told['platform']}",
        f"- {packages}",
        "",
        "## duibi doctor",
        "",
        "| state | what | seen | next step |",
        "| --- | --- | --- | --- |",
    ]
    for one in findings:
        cells = (one.state, one.name, one.seen, one.next_step)
        lines.append(f"| {' | '.join(one_line(cell).replace('|', '/') for cell in cells)} |")
    return redact_secrets(_without_names("\n".join(lines)))


def _without_names(text: str) -> str:
    """``text`` with ``~`` for the home folder, and without the names of its user and of this
    computer."""
    users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "SUDO_USER")}
    if (home := paths.home()) is not None and home.name:
        text = text.replace(str(home), "~")
        users.add(home.name)
    if names := "|".join(map(re.escape, sorted(users - {"", "root"}))):
        # In paths only: elsewhere a short name is a word like others.
        own = re.compile(rf"(?<![^\W_])(?:{names})(?![^\W_])")
        text = _PATH.sub(lambda path: own.sub("USER", path[0]), text)
    node = platform.node()
    return text.replace(node, "HOST") if len(node) > 3 else text
