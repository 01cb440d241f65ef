"""Screens tick faster under test, so that a beat of the test is short."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.stylesheet import Stylesheet

from tui.app.screens import board_screen


@pytest.fixture(autouse=True, scope="session")
def parsed_once() -> Iterator[None]:
    """The style sheets of widgets are parsed once, not again for the app of each test."""
    parse, kept = Stylesheet._parse_rules, {}

    def once(sheet: Stylesheet, *source: Any, **more: Any) -> Any:
        key = (source, *more.items(), *sheet._variables.items())
        if key not in kept:
            kept[key] = parse(sheet, *source, **more)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", once)
        yield


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty ticks a second instead of ten."""
    monkeypatch.setattr(board_screen, "TICK_S", 0.02)


@pytest.fixture(autouse=True)
def own_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written into the current folder."""
    monkeypatch.chdir(tmp_path)
