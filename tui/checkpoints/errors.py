"""The one error of checkpoints."""

from tui.host.errors import UserError


class CheckpointError(UserError):
    """A checkpoint that cannot be used: ``cause`` is a short word (``not_found``, ``unsupported``,
    ``damaged``, ``too_long``, ``no_space``), ``message`` one line, ``next_step`` what to do."""

    def __init__(self, cause: str, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.cause = cause
