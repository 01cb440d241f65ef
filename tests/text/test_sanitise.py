import ast
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tui
from tui.text.sanitise import clean, collapse_line, one_line

HOSTILE = [
    "\x1b[2J\x1b]52;c;aGFsbG8=\x07",
    "\x9b31m\x9d0;title\x9c",
    "a\rb",
    "bell\x07 back\x08 del\x7f",
    "\u202eevil\u202c \u2066isolated\u2069",
    "pay\u200bpal \ufeffname \u00ad",
    "lone \ud800 surrogate",
    "tags \U000e0041\U000e0042",
    "\x90q#0~\x1b\\",
]

SHAPED = ("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")
"""Format characters that have a shape of their own."""


@given(st.text(alphabet=st.characters(codec=None)))
def test_nothing_active_or_hidden_is_left(text: str) -> None:
    safe = clean(text)
    for char in safe:
        category = unicodedata.category(char)
        assert category not in ("Cc", "Cs") or char in "\n\t", hex(ord(char))
        assert unicodedata.bidirectional(char) not in ("LRE", "RLE", "LRO", "RLO", "PDF"), char
        assert unicodedata.bidirectional(char) not in ("LRI", "RLI", "FSI", "PDI"), char
    assert clean(safe) == safe
    safe.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_disarmed(text: str) -> None:
    safe = clean(text)
    assert safe != text
    assert not set(safe) & set("\x1b\x07\x08\x0d\x7f\x9b\x9c\x9d\x90\u202e\u2066\u200b\ufeff")
    safe.encode("utf-8")


@pytest.mark.parametrize(
    "text", ["def f():\n\treturn 1", "逻辑推理：甲 ＞ 乙", "👩‍👩‍👧 ❤️ café", "سلام دنیا"]
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_of_all_format_characters_only_those_that_scripts_need_are_left() -> None:
    every = clean("".join(map(chr, range(sys.maxunicode + 1))))
    left = {char for char in every if unicodedata.category(char) in ("Cf", "Zl", "Zp")}
    shaped = {char for char in left if unicodedata.name(char).startswith(SHAPED)}
    assert left - shaped == {"\u200c", "\u200d"}


def test_one_line_has_no_breaks() -> None:
    assert one_line("a\nb\tc\u2028d\r\n") == "a b c d "


@given(st.text(alphabet=st.characters(codec=None)))
def test_a_collapsed_line_is_clean_and_has_single_blanks(text: str) -> None:
    line = collapse_line(text)
    assert line == clean(line) == " ".join(line.split())
    assert collapse_line(Path("a\x1b  b\n\tc")) == "a␛ b c"


def test_the_sanitiser_is_called_and_never_handed_in() -> None:
    """No parameter and no field named ``clean`` anywhere: there is one sanitiser."""
    found = []
    for path in sorted(Path(tui.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.arg(arg="clean") | ast.keyword(arg="clean"):
                    found.append(f"{path}:{node.lineno}")
                case (
                    ast.AnnAssign(target=ast.Name(id="clean"))
                    | ast.Attribute(attr="clean" | "_clean", ctx=ast.Store())
                ):
                    found.append(f"{path}:{node.lineno}")
    assert not found
