"""Which key does what now: a rebound one is named in every hint."""

from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode

from tui.app.style.key_names import key_name


class KeyHints:
    """The key of a binding by its id, for the messages: ``{k[answer.ask]}`` is ``Enter``, or the
    key that ``wanted`` (the person's ``[keys]``) gives it."""

    def __init__(self, wanted: Mapping[str, str] | None = None) -> None:
        self._wanted, self._known = wanted or {}, dict[str, str]()

    def __getitem__(self, id_: str) -> str:
        """The first of its keys; the id itself where no class that is loaded has such a binding:
        no hint ends the screen."""
        if id_ not in self._known:
            self._known |= {one.id: one.key for one in _loaded_bindings() if one.id}
        keys = self._wanted.get(id_) or self._known.get(id_)
        if not keys:
            return id_
        return key_name(keys.split(",")[0].strip() or keys)


def _loaded_bindings() -> Iterator[Binding]:
    """Those of the program's own screens and widgets that are imported: whoever says a message
    has imported the ones that it names."""
    todo: list[type[DOMNode]] = [DOMNode]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if kind.__module__.startswith("tui.app"):
            found = kind.__dict__.get("BINDINGS", ())
            yield from (one for one in found if isinstance(one, Binding))
