"""The keys that scroll, the same in every widget that shows text."""

from textual.binding import Binding


def scroll_bindings(group: str) -> list[Binding]:
    """Bindings for the actions ``scroll(rows)`` and ``page(pages)``, with ids ``group.down``,
    ``group.up``, ``group.page_down`` and ``group.page_up``."""
    return [
        Binding("down,j", "scroll(1)", "key.down", show=False, id=f"{group}.down"),
        Binding("up,k", "scroll(-1)", "key.up", show=False, id=f"{group}.up"),
        Binding(
            "pagedown,ctrl+f", "page(1.0)", "key.page_down", show=False, id=f"{group}.page_down"
        ),
        Binding("pageup,ctrl+b", "page(-1.0)", "key.page_up", show=False, id=f"{group}.page_up"),
    ]
