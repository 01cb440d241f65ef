"""An API key whose repr and str are ``***``."""


class Secret:
    """An API key. Its repr and str are ``***``, also in a traceback that shows variables."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    def redact(self, text: str) -> str:
        """``text`` with every occurrence of the key made ``***``."""
        return text.replace(self._value, "***") if self._value else text


NO_SECRET = Secret()
