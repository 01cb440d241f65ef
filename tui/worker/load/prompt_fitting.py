"""What the tokenizers of all families share: a conversation's rounds, and fitting them into the
context."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tui.checkpoints.errors import CheckpointError
from tui.worker.checkpoint import Prompt, Turn
from tui.worker.load.template_thinking import NO_SWITCH

NO_LIMIT = 1 << 62
"""A context or vocabulary that nothing exceeds: where only tokenizer files are there."""


@dataclass(frozen=True, slots=True)
class ChatRounds:
    """A conversation cut into the system text and rounds, each beginning with a user turn;
    the last round is what is asked."""

    system: str | None
    rounds: tuple[tuple[Turn, ...], ...]

    @classmethod
    def from_turns(cls, turns: Sequence[Turn]) -> "ChatRounds":
        """Cut a list of turns.

        Raises:
            CheckpointError: a role that is none, or nothing asked at the end.
        """
        system: str | None = None
        rounds: list[list[Turn]] = []
        for index, (role, content) in enumerate(turns):
            if role == "system" and index == 0:
                system = content
            elif role not in ("user", "assistant"):
                raise CheckpointError("unsupported", f"a turn of role {role[:20]!r} at {index}")
            elif role == "user" or not rounds:
                rounds.append([(role, content)])
            else:
                rounds[-1].append((role, content))
        if not rounds or rounds[-1][-1][0] != "user":
            raise CheckpointError("unsupported", "a conversation must end in a user turn")
        return cls(system, tuple(tuple(part) for part in rounds))

    def remaining_turns(self, dropped: int) -> list[Turn]:
        """The turns that are left when the oldest rounds are dropped."""
        head: list[Turn] = [] if self.system is None else [("system", self.system)]
        return head + [turn for part in self.rounds[dropped:] for turn in part]

    def count_dropped_turns(self, dropped: int) -> int:
        """How many turns the oldest ``dropped`` rounds hold."""
        return sum(len(part) for part in self.rounds[:dropped])


def fit_prompt(
    turns: ChatRounds,
    encode: Callable[[Sequence[Turn]], list[int]],
    context: int,
    max_prompt_tokens: int,
    vocab_size: int,
    already_dropped: int = 0,
) -> Prompt:
    """The prompt with as few of the oldest rounds dropped as bring it down to
    ``max_prompt_tokens`` ids.

    ``vocab_size`` is the number of rows of the model's embedding; ``already_dropped`` rounds
    are gone for another reason.

    Raises:
        CheckpointError: not even the last round fits, or an id that the model has not.
    """
    last = len(turns.rounds) - 1
    fits, dropped = encode(turns.remaining_turns(already_dropped)), already_dropped
    if len(fits) > max_prompt_tokens:
        low, dropped = already_dropped + 1, last
        shortest = encode(turns.remaining_turns(last))
        if len(shortest) > max_prompt_tokens:
            raise CheckpointError(
                "too_long",
                f"the prompt has {len(shortest)} tokens and the answer may have "
                f"{max(0, context - max_prompt_tokens)}; together they exceed the context of "
                f"{context}",
                "shorten the question, or lower --max-new-tokens",
            )
        fits = shortest
        while low < dropped:
            middle = (low + dropped) // 2
            tried = encode(turns.remaining_turns(middle))
            if len(tried) <= max_prompt_tokens:
                fits, dropped = tried, middle
            else:
                low = middle + 1
    if max(fits, default=0) >= vocab_size:
        raise CheckpointError(
            "damaged",
            f"the tokenizer gives id {max(fits)}, the model has {vocab_size} rows: they do not "
            "belong together",
            "fetch config.json and the tokenizer files of the same model again",
        )
    return Prompt(fits, turns.count_dropped_turns(dropped))


class FittedTokenizer(ABC):
    """Part of a `ChatTokenizer`: prompts without the oldest rounds where all do not fit.

    ``context`` is the model's bound in tokens, ``vocab`` the rows of its embedding.
    """

    def __init__(self, context: int, vocab: int) -> None:
        self._context, self._vocab = context, vocab

    def encode_chat(
        self, turns: Sequence[Turn], max_new_tokens: int = 0, think: str = ""
    ) -> Prompt:
        """See `ChatTokenizer.encode_chat`."""
        rounds = ChatRounds.from_turns(turns)
        found = fit_prompt(
            rounds,
            self._encoder(think),
            self._context,
            self._max_prompt_tokens(max_new_tokens),
            self._vocab,
            self._rounds_outside_window(rounds),
        )
        return replace(found, note=self._thinking_note(think))

    def _encoder(self, think: str) -> Callable[[Sequence[Turn]], list[int]]:
        """What makes a conversation's ids, with ``think`` told if that can be told."""
        return self._ids

    def _thinking_note(self, think: str) -> str:
        """What of ``think`` is not told."""
        return NO_SWITCH if think else ""

    @abstractmethod
    def _ids(self, turns: Sequence[Turn]) -> list[int]:
        """The ids of a conversation, ending where the answer begins."""

    def _max_prompt_tokens(self, max_new_tokens: int) -> int:
        return self._context - max_new_tokens

    def _rounds_outside_window(self, rounds: ChatRounds) -> int:
        """Rounds that are left out whatever the context."""
        return 0
