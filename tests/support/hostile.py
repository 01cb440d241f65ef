"""Texts that want to act on a terminal or to deceive who reads it, a session that has them
everywhere, and what a terminal would have done with what was written to it."""

import re
from dataclasses import replace
from pathlib import Path

from benchmarks.support.sessions import HEADER
from tui import events as ev
from tui.sessions.journal import Journal

HOSTILE_TEXTS = (
    "\x1b[2J\x1b[999;1H\x1b]52;c;aGFja2Vk\x07",
    "\x9b31m\x9d0;title\x9c\x90q#0\x9c",
    "\x1bP+q544e\x1b\\ \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\r overwritten \x08\x08 \x0e\x0f \x7f \x05",
    "\u202egnp.exe\u202c \u2066x\u2069 \u200b\ufeff",
    "[/foo] [@click=app.quit]q[/] [bold]b[/bold]",
    "\x1b[?1049l\x1b[?1000h\x1b[?2004l\x1bc",
    "\x1b[6n\x1b[c\x1b[>0q\x1b]10;?\x07\x1bZ",
    "\x1b]0;rm -rf\x07\x1b]7;file:///etc\x07\x1b]9;4;1\x07",
    "\x1b]1337;File=inline=1:AAAA\x07\x1b_Gf=100;AAAA\x1b\\\x1b^pm\x1b\\",
    "\x1bPtmux;\x1b\x1b]52;c;aGFja2Vk\x07\x1b\\ \x1bk title\x1b\\",
    "\x1b[38;2;1;1;1;48;2;1;1;1mhidden\x1b[8m\x1b[3J\x1b[5i",
    "a\u0300" + "\u0301\u0302\u0303\u0316" * 12 + " Z\u0334\u0335\u0336 \u2028 \u2029",
    "tags \U000e0041\U000e0042\U000e007f pay\u00ad\u2060pal \u3164 \ufff9x\ufffby\ufffa",
    "👩\u200d👩\u200d👧 ❤\ufe0f 🏳\ufe0f\u200d🌈 \U0001f1e8\U0001f1f3 {0.__class__} %s ${y} `id`",
)

_OURS = re.compile(
    r"\x1b\[[0-9;]*[mHABCKXJ]"  # style, place, erasing
    r"|\x1b\[\?(?:7|25|1000|1003|1004|1006|1015|1049|2004|2026|2048)[hl]"
    r"|\x1b\[\?(?:2026|2048)\$p"  # what the terminal can do
    r"|\x1b\[6n"
    r"|\x1b\[<u"
    r"|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"  # a copy
    r"|\x1b\]22;\w*(?:\x07|\x1b\\)"  # the mouse pointer
)
"""All that the program itself writes besides text."""
_HIDDEN = (
    "\x7f\u061c\u200b\u200e\u200f\u2028\u2029\u2060\u3164\u00ad\ufeff\ufff9\ufffa\ufffb"
    + "".join(map(chr, [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
    + "".join(map(chr, range(0xE0000, 0xE0080)))
)


def active_sequences(raw: bytes) -> list[str]:
    """What in a capture a terminal would act on that is not the program's own."""
    text = raw.decode("utf-8")
    rest = _OURS.sub("", text)
    found = [
        rest[at.start() : at.start() + 12]
        for at in re.finditer(r"[\x00-\x09\x0b\x0c\x0e-\x1f]", rest)
    ]
    found += sorted(set(rest) & set(_HIDDEN))
    rows = [int(row) for row in re.findall(r"\x1b\[(\d+)(?:;\d+)?H", text)]
    return found + [f"row {row}" for row in rows if row > 200]


def file_name(text: str) -> str:
    """A text as far as it can be the name of a file."""
    return text.replace("/", "∕").replace("\0", "")[:60]


def write_hostile_session(folder: Path, text: str) -> Path:
    """A session in which everything that a person or a model can name or say is ``text``; its
    file is named so too."""
    questions = {
        "name": text,
        "title": text,
        "questions": [{"id": f"{text}{n}", "category": text, "turns": [text]} for n in range(2)],
    }
    models = [{"name": f"{text}{n}", "label": f"{text}{n}"} for n in range(2)]
    journal = Journal.create(folder, replace(HEADER, models=models, questions=questions))
    for model in (0, 1):
        journal.append(0, model, ev.Load(text, 1, 2))
        journal.append(0, model, ev.Loaded(1.0, notes=[text]))
        journal.append(0, model, ev.Asked(model, f"{text}0", text))
        journal.append(0, model, ev.Started(model))
        journal.append(0, model, ev.Delta(model, text=text, reasoning=True))
        journal.append(
            0, model, ev.Delta(model, text=f"{model} {text}\n\n```{text}\n{text}\n```\n")
        )
        journal.append(0, ev.RUN, ev.Note(text, model, "person"))
        journal.append(0, ev.RUN, ev.Note(text, model, "engine"))
        journal.append(0, model, ev.Answered(model, "stop", output_tokens=3))
    journal.append(0, 0, ev.Asked(2, f"{text}1", text))
    journal.append(0, 0, ev.Started(2))
    journal.append(0, 0, ev.Failed("crashed", text, text, 2))
    journal.append(0, 1, ev.Asked(3, f"{text}1", text))
    journal.append(0, 1, ev.Failed("crashed", text, text))
    journal.close(text)
    path = journal.path.with_name(f"{journal.path.stem}{file_name(text)}.duibi")
    return journal.path.rename(path)
