"""The one error that a person can cause and is told about in one line."""


class UserError(Exception):
    """Something a person can put right: shown as one line with the next step.

    ``exit_code`` is the command's exit status: 1 some answers failed, 2 usage,
    configuration or input file, 3 network or provider, 4 does not fit in memory.
    """

    exit_code = 2

    def __init__(self, message: str, next_step: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step
        if exit_code is not None:
            self.exit_code = exit_code
