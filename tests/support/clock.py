"""A clock that a test moves."""


class Clock:
    """Tells ``now``, in seconds; each look at it adds ``step`` first."""

    def __init__(self, now: float = 0.0, step: float = 0.0) -> None:
        self.now, self.step = now, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now
