"""The last line: the keys that apply now, most useful first, as many as fit."""

from itertools import chain
from typing import Any

from rich.cells import cell_len
from textual.dom import DOMNode
from textual.screen import Screen

from tui.app.keymap import default_keys
from tui.app.style.appearance import Appearance, StyledText
from tui.app.style.key_names import key_name
from tui.app.widgets.lines import Lines

_ORDER = (
    "confirm.yes",
    "confirm.no",
    "menu.open",
    "models.get",
    "models.stop",
    "models.get_other",
    "models.remove",
    "search.list",
    "library.search",
    "library.replay",
    "menu.mark",
    "library.beside",
    "library.continue",
    "library.rename",
    "library.delete",
    "library.undo",
    "library.export",
    "start.type",
    "start.models",
    "start.library",
    "prompt.send",
    "prompt.line_break",
    "prompt.leave",
    "answer.ask",
    "replay.toggle",
    "question.next",
    "question.previous",
    "prompt.focus",
    "judge.leave",
    "judge.pane",
    "diff.leave",
    "diff.pair",
    "diff.filter",
    "diff.order",
    "answer.all",
    "answer.again",
    "judge.stars",
    "judge.votes",
    "view.differences",
    "session.export",
    "answer.cancel",
    "answer.stop_all",
    "replay.back",
    "replay.forward",
    "replay.slower",
    "replay.faster",
    "replay.at_once",
    "screen.focus_next",
    "screen.zoom",
    "answer.copy",
    "pane.find",
    "app.theme",
)
"""The footer, most useful first."""
_ALWAYS = ("app.help", "app.quit")
"""What the footer ends with, however narrow it is."""


def active_keys(screen: Screen[Any]) -> list[tuple[str, str, str]]:
    """What can be pressed now: (id, keys as read, description key), in the order of the
    bindings, which a rebound key would leave."""
    found: dict[str, tuple[list[str], str]] = {}
    order: dict[type[DOMNode], list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.id or not active.enabled:
            continue
        keys, _ = found.setdefault(binding.id, ([], binding.description))
        keys.append(key_name(binding.key))
        order.setdefault(type(active.node), list(default_keys(type(active.node))))
    ids = dict.fromkeys(chain(*order.values(), found))
    return [(id_, " ".join(found[id_][0]), found[id_][1]) for id_ in ids if id_ in found]


class KeysBar(Lines):
    """The footer."""

    def __init__(self, appearance: Appearance) -> None:
        super().__init__(appearance, id="keys")

    def on_mount(self) -> None:
        """Follow the bindings as the focus moves."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)
        self.call_after_refresh(self.show_keys)

    def _bindings_changed(self, screen: Screen[Any]) -> None:
        self.show_keys()

    def on_resize(self) -> None:
        """Another width, another number of keys."""
        self.show_keys()

    def show_keys(self) -> None:
        """Draw the keys that apply now."""
        pieces: list[StyledText] = [(" ", "")]
        room = self.size.width - 1
        now = {
            id_: (keys.split(" ")[0], self.appearance.say(description))
            for id_, keys, description in active_keys(self.screen)
        }
        cells = {id_: cell_len(keys) + cell_len(words) + 3 for id_, (keys, words) in now.items()}
        kept = [id_ for id_ in _ALWAYS if id_ in now]
        room -= sum(cells[id_] for id_ in kept)
        first: list[str] = []
        for id_ in (id_ for id_ in _ORDER if id_ in now):
            room -= cells[id_]
            if room < 0:
                break
            first.append(id_)
        for keys, words in (now[id_] for id_ in [*first, *kept]):
            pieces += [(keys, "accent"), (" ", ""), (words, "muted"), ("  ", "")]
        self.show([pieces])
