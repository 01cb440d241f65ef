"""Modules that take long to import and are not needed at once: imported in a thread."""

import importlib
import threading
from types import ModuleType


class BackgroundImport:
    """A module that is there some time after `start` was called."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: ModuleType | None = None
        self._is_started = False

    def start(self) -> None:
        """Begin to import it, once."""
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._import, name=self._name, daemon=True).start()

    @property
    def module(self) -> ModuleType | None:
        """The module, or None as long as it is not there."""
        return self._module

    def _import(self) -> None:
        self._module = importlib.import_module(self._name)
