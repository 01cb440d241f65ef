"""The child of `tui.host.sandboxed_template`: renders templates of others within limits.

Run as a script. One JSON object a line on standard input, ``template``, ``variables`` and
``is_marked``; one line back, ``{"text": ...}`` or ``{"error": ...}``. The environment is what
transformers gives a chat template (`chat_template_utils`): an immutable sandbox, trimmed blocks,
``raise_exception``, ``strftime_now``, ``tojson``, loop controls and the ``generation`` block.
Imports of this program what differs between systems only, so that it starts in a tenth of a second.
"""

import json
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))
from tui.host import system

TIMEOUT_S = 2.0
"""Wall-clock limit of one rendering; the alarm ends the process, whatever it is doing."""

MAX_MEMORY_BYTES = 512 << 20
"""Address space of this process, in bytes."""

MAX_CHARACTERS = 8 << 20
"""Longest text that is handed back."""

VALUE, END_OF_VALUE = "\ue002", "\ue003"
"""What stands around each value in a marked text; the values sent have no such characters."""
BLOCK, END_OF_BLOCK = "\ue000", "\ue001"
"""What stands around the number of a block that a value refers to."""


class GenerationTag(Extension):
    """``{% generation %}`` marks an answer for training; here its content is just text."""

    tags = {"generation"}  # noqa: RUF012 (declared so by jinja2)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes between the tags."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def mark(value: Any) -> str:
    """A value between marks and on one line, so that nothing in it is taken for a line of the
    template; what holds marks already, as a block or a captured text does, stays."""
    text = str(value)
    if any(sign in text for sign in (VALUE, BLOCK)):
        return text
    return f"{VALUE}{' '.join(text.split())}{END_OF_VALUE}"


def environment(is_marked: bool = False) -> ImmutableSandboxedEnvironment:
    """The sandbox of templates, with the functions that `transformers` gives them. ``is_marked``:
    each value is put between marks (`mark`), and a name that is not known is an error."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, loopcontrols],
        finalize=mark if is_marked else None,
        undefined=StrictUndefined if is_marked else Undefined,
    )
    made.filters["tojson"] = _json
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return made


def render(request: dict[str, Any]) -> str:
    """The text of one request."""
    template = environment(request["is_marked"]).from_string(request["template"])
    pieces, length = [], 0
    for piece in template.generate(**request["variables"]):
        length += len(piece)
        if length > MAX_CHARACTERS:
            raise TemplateError(f"writes more than {MAX_CHARACTERS >> 20} million characters")
        pieces.append(piece)
    return "".join(pieces)


def reply(line: bytes) -> dict[str, str]:
    """What is answered to one line of input."""
    try:
        return {"text": render(json.loads(line))}
    except MemoryError:
        return {"error": "takes too much memory"}
    except Exception as error:  # a template can raise any exception
        text = " ".join(str(error).split())[:200]
        return {"error": text or type(error).__name__}


def main() -> None:
    """Render what comes on stdin, a JSON line each, within limits of memory and time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    system.limit_address_space(MAX_MEMORY_BYTES)
    system.forbid_core_files()
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S)
        answer = json.dumps(reply(line)).encode() + b"\n"
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
