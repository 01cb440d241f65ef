"""The one error that a person can cause and is told about in one line, the first line of any
other error, and the exit codes."""

from tui.host.secrets import redact_secrets

EXIT_FAILED = 1
"""Some answers failed."""
EXIT_USAGE = 2
"""Usage, configuration or input file."""
EXIT_NETWORK = 3
"""What the network or a provider did."""
EXIT_MEMORY = 4
"""It does not fit in memory."""
EXIT_BUDGET = 5
"""Stopped at the budget; what was asked before that is saved."""
EXIT_INTERRUPTED = 130
"""Stopped by a person or a signal."""


class UserError(Exception):
    """Something a person can put right: shown as one line with the next step.

    ``exit_code`` is the command's exit status, one of ``EXIT_...``. Its texts are without the
    secrets of the environment: they may quote what others wrote.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, next_step: str = "", exit_code: int | None = None) -> None:
        self.message, self.next_step = redact_secrets(message), redact_secrets(next_step)
        super().__init__(self.message)
        if exit_code is not None:
            self.exit_code = exit_code


def first_line(error: BaseException, limit: int = 200) -> str:
    """The first line of an error's message, or its class where it has none; ``limit``
    characters at most."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:limit]
