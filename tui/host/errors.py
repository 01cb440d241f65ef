"""The one error that a person can cause and is told about in one line, and the first line of
any other."""

EXIT_INTERRUPTED = 130
"""Exit status of a command that a signal or the person ended."""


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


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an error's message, or its class where it has none; ``limit``
    characters at most."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:limit]
