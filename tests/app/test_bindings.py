"""Every class with key bindings of its own is known where `[keys]` is checked."""

import importlib
import pkgutil

from textual.dom import DOMNode

import tui.app
from tui.app import bindings
from tui.app.app import DuibiApp


def test_every_class_with_bindings_is_a_holder_or_a_base_of_one() -> None:
    modules = [name for _, name, _ in pkgutil.walk_packages(tui.app.__path__, "tui.app.")]
    found = {
        kind
        for name in modules
        for kind in vars(importlib.import_module(name)).values()
        if isinstance(kind, type)
        and issubclass(kind, DOMNode)
        and kind.__module__.startswith("tui.app.")
        and "BINDINGS" in vars(kind)
    }
    checked: tuple[type[DOMNode], ...] = (DuibiApp, *bindings.holders())
    known = {base for holder in checked for base in holder.__mro__}
    assert len(found) > 15
    assert not found - known
