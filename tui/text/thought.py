"""A model's thought apart from its answer, while both are being written.

What the answer of a reasoning model looks like is its chat template's affair: a thought between
two marks before the answer (Qwen3, GLM-4.5, DeepSeek-R1, Seed-OSS, Magistral), or messages of
several channels, of which one is for the reader (harmony, the format of gpt-oss).
"""

from collections.abc import Callable, Container
from dataclasses import dataclass

from tui.text.reasoning import THINK_CLOSE, THINK_OPEN, without_start_of

SplitFunction = Callable[[str], tuple[str, str]]
"""Decoded answer to (thought, visible text)."""


THINKS = "it thinks before it answers: --think off has it answer at once"
ANSWERS_AT_ONCE = "it answers at once: --think on has it think first"
DECIDES = "it decides itself whether to think: --think on or --think off says it"
THINKS_BY_LEVEL = "it thinks before it answers: as much as --think low, medium or high says"
ALWAYS_THINKS = "it always thinks before it answers: --think-tokens N ends a thought"
"""What a model does where nothing is said, and how to say it."""


def already_said(think: str, think_tokens: int | None) -> frozenset[str]:
    """Which of these tell a person nothing who has said so."""
    switched = {THINKS, ANSWERS_AT_ONCE, DECIDES, THINKS_BY_LEVEL} if think else set()
    return frozenset(switched | ({ALWAYS_THINKS} if think_tokens is not None else set()))


@dataclass(frozen=True, slots=True)
class ThoughtFormat:
    """``open`` and ``close`` stand around a thought, ``ending`` is what has to be written to end
    it early. ``has_channels``: the answer is messages of channels."""

    open: str
    close: str
    ending: str
    has_channels: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The control tokens that tell thought and answer apart."""
        return _CHANNEL_MARKS if self.has_channels else (self.open, self.close)


_START, _CHANNEL, _MESSAGE, _END = "<|start|>", "<|channel|>", "<|message|>", "<|end|>"
_CHANNEL_MARKS = (_START, _CHANNEL, _MESSAGE, _END)
_FINAL, _CONTROL = "final", "<|"
_TO_FINAL = f"{_CHANNEL}{_FINAL}{_MESSAGE}"

FORMATS = (
    ThoughtFormat(
        f"{_CHANNEL}analysis{_MESSAGE}",
        _TO_FINAL,
        f"{_END}{_START}assistant{_TO_FINAL}",
        has_channels=True,
    ),
    *(
        ThoughtFormat(opened, closed, f"\n{closed}\n\n")
        for opened, closed in (
            (THINK_OPEN, THINK_CLOSE),
            ("<seed:think>", "</seed:think>"),
            ("[THINK]", "[/THINK]"),
        )
    ),
)
"""The formats that are known; which of them a checkpoint has, its template and vocabulary say."""


def find_format(template: str, controls: Container[str]) -> ThoughtFormat | None:
    """The format of a checkpoint's thoughts; None for a model that was not taught any.

    ``controls`` are the control tokens of its vocabulary.
    """
    for one in FORMATS:
        if one.has_channels:
            if all(mark in controls for mark in one.marks):
                return one
        elif one.open in template or one.open in controls:
            return one
    return None


class AnswerSplitter:
    """Tells thought and answer apart in what is decoded piece by piece, and gives out only what is
    new. Text that was given is never taken back. This one is for answers without a thought."""

    def __init__(self) -> None:
        self.is_thinking = False
        """Whether what comes next belongs to a thought, as far as that is known."""
        self.characters = 0
        """Code points of the visible answer given so far."""

    def push(self, piece: str, last: bool = False) -> tuple[str, str]:
        """New (thought, text) after ``piece`` was decoded; ``last`` gives out what was held back
        in doubt."""
        thought, text = self._divide(piece, last) if piece or last else ("", "")
        self.characters += len(text)
        return thought, text

    def _divide(self, piece: str, last: bool) -> tuple[str, str]:
        return "", piece


class FunctionSplitter(AnswerSplitter):
    """By two functions of the whole answer: what is certain while it grows, and what it is in the
    end."""

    def __init__(self, partial: SplitFunction, complete: SplitFunction) -> None:
        super().__init__()
        self._functions = partial, complete
        self._raw, self._given = "", (0, 0)

    def _divide(self, piece: str, last: bool) -> tuple[str, str]:
        self._raw += piece
        thought, text = self._functions[last](self._raw)
        fresh = thought[self._given[0] :], text[self._given[1] :]
        self._given = max(self._given[0], len(thought)), max(self._given[1], len(text))
        return fresh


class ThoughtSplitter(AnswerSplitter):
    """For a thought between two marks before the answer. ``begins_open``: the prompt itself ended
    in the opening mark. White space around either is left out."""

    def __init__(self, form: ThoughtFormat, begins_open: bool) -> None:
        super().__init__()
        self._form, self._begins_open = form, begins_open
        self.is_thinking = begins_open
        self._held = ""
        self._state = self._before_thought

    def _divide(self, piece: str, last: bool) -> tuple[str, str]:
        self._held += piece
        return self._state(last)

    def _before_thought(self, last: bool) -> tuple[str, str]:
        body = self._held.lstrip()
        if body.startswith(self._form.open):
            self._held = body[len(self._form.open) :]
        elif self._form.open.startswith(body) and not last:
            return "", ""
        elif not self._begins_open:
            self._state = self._in_answer
            return self._state(last)
        self.is_thinking, self._state = True, self._in_thought
        return self._state(last)

    def _in_thought(self, last: bool) -> tuple[str, str]:
        thought, closed, rest = self._held.partition(self._form.close)
        if closed:
            self._held, self._state, self.is_thinking = rest, self._after_thought, False
            _, text = self._state(last)
            return self._stripped(thought.rstrip()), text
        # White space behind it belongs to what may follow.
        sure = thought if last else without_start_of(self._form.close, thought)
        sure = sure.rstrip()
        self._held = "" if last else thought[len(sure) :]
        return self._stripped(sure), ""

    def _stripped(self, thought: str) -> str:
        """Without white space where the thought begins."""
        if self._begins_with_space:
            thought = thought.lstrip()
            self._begins_with_space = not thought
        return thought

    _begins_with_space = True

    def _after_thought(self, last: bool) -> tuple[str, str]:
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._in_answer
        return self._in_answer(last)

    def _in_answer(self, last: bool) -> tuple[str, str]:
        text, self._held = self._held, ""
        return "", text


class ChannelSplitter(AnswerSplitter):
    """For messages of channels: ``<|channel|>NAME<|message|>TEXT<|end|><|start|>assistant`` and so
    on. What the channel ``final`` says is the answer, all else is thought.

    Format: the harmony response format (openai/harmony, docs/format.md).
    """

    def __init__(self) -> None:
        super().__init__()
        self._held = ""
        self._in_header, self._has_thought, self._begins = True, False, False

    def _divide(self, piece: str, last: bool) -> tuple[str, str]:
        self._held += piece
        found = {True: "", False: ""}
        while self._held:
            if self._in_header:
                if not self._read_header():
                    break
                continue
            said, ended, rest = self._held.partition(_END)
            if not ended and not last:
                said = without_start_of(_END, said)
                rest = self._held[len(said) :]
            found[self.is_thinking] += self._apart(said)
            self._held, self._in_header = rest, bool(ended)
            if not ended:
                break
        if last:
            self._held = ""
        return found[True], found[False]

    def _read_header(self) -> bool:
        """Take the header of a message away; False while it is not whole."""
        header, begun, rest = self._held.partition(_MESSAGE)
        if not begun and header.startswith(_CONTROL[: len(header)]):
            return False
        # What has no header is for the reader.
        channel = header.partition(_CHANNEL)[2].strip() if begun else ""
        self.is_thinking = bool(channel) and not channel.startswith(_FINAL)
        self._held = rest if begun else header
        self._in_header, self._begins = False, True
        return True

    def _apart(self, said: str) -> str:
        """With an empty line before it where another message of thought stands before it."""
        is_next = self.is_thinking and self._begins and self._has_thought
        if said and self.is_thinking:
            self._has_thought, self._begins = True, False
        return f"\n\n{said}" if said and is_next else said


def new_splitter(form: ThoughtFormat | None, begins_open: bool = False) -> AnswerSplitter:
    """The splitter of one answer; ``begins_open``: its prompt ended in the opening mark."""
    if form is None:
        return AnswerSplitter()
    return ChannelSplitter() if form.has_channels else ThoughtSplitter(form, begins_open)
