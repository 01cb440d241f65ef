"""An API key whose repr and str are ``***``."""

from tui.host.secrets import MASK, Mask


class Secret:
    """An API key. Its repr and str are ``***``, also in a traceback that shows variables."""

    __slots__ = ("_mask", "_value")

    def __init__(self, value: str = "") -> None:
        self._value, self._mask = value, Mask((value,) if value else ())

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def redact(self, text: str) -> str:
        """``text`` with every occurrence of the key, or of a part of it, made ``***``."""
        return self._mask.redact(text.replace(self._value, MASK)) if self else text


NO_SECRET = Secret()
