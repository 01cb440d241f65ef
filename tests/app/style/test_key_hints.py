"""A hint that names a key names the one that it is now."""

import re

import pytest
from textual.dom import DOMNode

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import comparing
from tui.app.app import DuibiApp
from tui.app.bindings import holders
from tui.app.keymap import default_keys
from tui.app.style.key_names import key_name
from tui.app.style.messages import Messages, catalogue
from tui.app.widgets.keys_bar import active_keys

_HINT = re.compile(r"\{k\[([^\]]+)\]\}")
_KEY = re.compile(r"(?<![\w{\[.])(Esc|Enter|Tab|Space)(?![\w\]])|\(\w\)|(?<=按 )[A-Za-z?](?= )")


def test_every_hint_is_of_a_binding_and_no_key_is_named_otherwise() -> None:
    kinds: tuple[type[DOMNode], ...] = (DuibiApp, *holders())
    known = {id_ for kind in kinds for id_ in default_keys(kind)}
    for key, texts in catalogue().items():
        for text in texts.values():
            assert set(_HINT.findall(text)) <= known, key
            if key != "help.palette":
                assert not _KEY.search(_HINT.sub("", text)), (key, text)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_rebound_key_is_named(lang: str) -> None:
    say = Messages(lang, {"answer.ask": "space,enter", "pane.show_all": "ctrl+h"})
    assert "Space" in say("pane.hint_live") and "Enter" not in say("pane.hint_live")
    assert "Ctrl+H" in say("pane.hidden", label="x")
    assert [key_name(key) for key in ("insert", "f5", "dollar_sign")] == ["Insert", "F5", "$"]


async def test_the_screen_names_rebound_keys() -> None:
    keys = {"prompt.focus": "ctrl+t", "answer.cancel": "Q", "pane.raw": "F"}
    async with comparing(keys=keys) as it:
        assert "(Ctrl+T)" in str(it.screen.prompt.placeholder)
        await it.until(lambda: "Ctrl+T types" in "\n".join(it.pane(0)))
        it.run.asked(0, 0, "logic")
        await it.beat()
        await it.press("Q")
        assert "Q again stops" in it.notices()[-1]
        await it.press("F")
        assert "F lays it out" in it.notices()[-1]
    assert isinstance(it.run, ScriptedRun)


async def test_a_rebound_key_keeps_its_place_in_the_help() -> None:
    async with comparing() as it:
        usual = [id_ for id_, *_ in active_keys(it.screen)]
    async with comparing(keys={"prompt.focus": "insert", "answer.ask": "ctrl+t"}) as it:
        assert [id_ for id_, *_ in active_keys(it.screen)] == usual
