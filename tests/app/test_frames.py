"""What a frame of a growing answer costs: only what it draws is asked for, and nothing is looked up
in style sheets."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from textual.css.query import DOMQuery
from textual.geometry import Region
from textual.widget import Widget

from benchmarks.support.scripted_run import ScriptedRun
from tests.support.stage import CompareStage
from tui.app.main import make_app
from tui.app.screens.compare import CompareScreen
from tui.app.widgets.answer_pane import AnswerPane
from tui.app.widgets.line_widget import LineWidget
from tui.app.widgets.prompt import PromptInput
from tui.options import ScreenOptions


async def test_a_growing_answer_has_only_its_own_lines_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ScriptedRun()
    app = make_app(ScreenOptions(lang="en"), lambda look: CompareScreen(look, run, Path()))
    made: Counter[str] = Counter()
    rows: list[int] = []
    kinds: tuple[type[Widget], ...] = (LineWidget, PromptInput)

    def counted(kind: type[Widget]) -> Any:
        real = kind.render_lines

        def render_lines(self: Widget, crop: Region) -> Any:
            made[type(self).__name__] += 1
            rows.append(crop.height)
            return real(self, crop)

        return render_lines

    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        it = CompareStage(app, pilot, run)
        await it.until(lambda: isinstance(app.screen, CompareScreen) and app.screen.grid)
        run.ready(0)
        run.asked(0, 0, "logic")
        run.tokens(0, 0, ["It "])
        await it.until(lambda: "It" in it.text())
        it.app.clear_notifications()
        await it.beat()
        for kind in kinds:
            monkeypatch.setattr(kind, "render_lines", counted(kind))
        real_query = DOMQuery.__init__

        def query(self: Any, *given: Any, **named: Any) -> None:
            made["queries"] += 1
            real_query(self, *given, **named)

        monkeypatch.setattr(DOMQuery, "__init__", query)
        # Within the second in which no figure of the header or the status changes.
        run.tokens(0, 0, ["rains."], us=1000)
        await it.beat()
        monkeypatch.undo()
        assert "It rains." in it.text()
        height = app.screen.query(AnswerPane).first().size.height
    assert made[AnswerPane.__name__] and set(made) == {AnswerPane.__name__}, made
    # From the figures above an answer, which may change, to its last line.
    assert max(rows) <= 6 < height // 2
