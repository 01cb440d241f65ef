"""How long answers waited while llama.cpp computed the prompts of others.

One pass computes a token of each answer, and parts of prompts beside them: such a token comes, only
late. How late, an answer's other tokens tell.
"""

from dataclasses import dataclass


class PromptClock:
    """Runs while the prompt of anybody is computed."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._since = self._total = 0

    def begin(self, answer: int, t_ns: int) -> None:
        """The prompt of an answer is computed from now on."""
        if not self._open:
            self._since = t_ns
        self._open.add(answer)

    def end(self, answer: int, t_ns: int) -> None:
        """The prompt is computed, or left."""
        if answer in self._open:
            self._total = self.read(t_ns)
            self._since = t_ns
            self._open.discard(answer)

    def read(self, t_ns: int) -> int:
        """Nanoseconds for which it has run."""
        # Threads tell of what happened, so that times may be a moment in disorder.
        return self._total + (max(0, t_ns - self._since) if self._open else 0)


@dataclass(slots=True)
class TokenGaps:
    """The time between the tokens of an answer: ``late`` those beside prompts, ``calm`` the
    others; nanoseconds."""

    calm_ns: int = 0
    calm_tokens: int = 0
    late_ns: int = 0
    late_tokens: int = 0

    def add(self, gap_ns: int, tokens: int, prompts_ns: int) -> None:
        """So many tokens came in ``gap_ns``; for ``prompts_ns`` of it prompts were computed."""
        if 2 * prompts_ns > gap_ns:
            self.late_ns += gap_ns
            self.late_tokens += tokens
        else:
            self.calm_ns += gap_ns
            self.calm_tokens += tokens

    @property
    def pace_ns(self) -> float:
        """What a calm token takes; 0 where there was none."""
        return self.calm_ns / self.calm_tokens if self.calm_tokens else 0.0

    def waited_ns(self, pace_ns: float) -> int:
        """What the late tokens took above that: by the answer's own pace, else by ``pace_ns``, that
        of others; 0 where neither is known."""
        pace = self.pace_ns or pace_ns
        return max(0, round(self.late_ns - self.late_tokens * pace)) if pace else 0
