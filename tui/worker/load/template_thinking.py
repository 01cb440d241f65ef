"""How a chat template is told whether its model shall think, found out by rendering it.

Published templates take a variable that is true or false (Qwen3, GLM-4.5, MiniCPM, DeepSeek-V3.1),
one that names a level (gpt-oss), or read a word in a message (Nemotron). Which of them one
understands, its text does not say by itself: the prompt has to come out different.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tui.text import thought
from tui.worker.checkpoint import Turn

FLAGS = ("enable_thinking", "thinking")
"""Variables of published templates that are true or false."""
EFFORT = "reasoning_effort"
"""The variable that names a level."""
LEVELS = ("low", "medium", "high")
_NO_EFFORT = "none"
_WORDS = {True: "/think", False: "/no_think"}
_QUESTION, _SYSTEM, _LEVEL = "zqquestionqz", "zqsystemqz", "zqlevelqz"

Render = Callable[[Sequence[Turn], Mapping[str, object]], str | None]
"""The text of a conversation with variables, None where the template raises."""

NO_SWITCH = "its chat format knows no way to say whether to think: --think has no effect"
ON_AND_OFF = "its chat format knows thinking on and off, and no levels"
NEVER_OFF = "its chat format cannot turn thinking off: the lowest level is taken"


@dataclass(frozen=True, slots=True)
class ThinkingSwitch:
    """What a template understands: ``flags`` are variables that are true or false, ``levels`` the
    values of `EFFORT` that it knows, and texts of ``word_role`` may hold the words ``/think`` and
    ``/no_think``. ``by_default``: whether it has its model think where nothing is said (None: it
    does not show)."""

    flags: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    word_role: str = ""
    by_default: bool | None = None

    def variables(self, think: str) -> dict[str, object]:
        """The variables that say ``think`` (`tui.options.THINK`, or "" for nothing)."""
        if not think:
            return {}
        found: dict[str, object] = dict.fromkeys(self.flags, think != "off")
        if think in self.levels:
            found[EFFORT] = think
        elif self.levels and think == "off" and not self.flags:
            found[EFFORT] = self.levels[0]
        elif self.levels and think == "on" and self.by_default is False and not self.flags:
            found[EFFORT] = self.levels[-1]
        return found

    def turns(self, turns: Sequence[Turn], think: str) -> Sequence[Turn]:
        """The conversation with the word that says ``think``, where the template reads one."""
        if not (think and self.word_role):
            return turns
        word = _WORDS[think != "off"]
        if self.word_role == "system" and turns[0][0] != "system":
            return (("system", word), *turns)
        at = 0 if self.word_role == "system" else len(turns) - 1
        role, content = turns[at]
        return (*turns[:at], (role, f"{content} {word}"), *turns[at + 1 :])

    def note(self, think: str) -> str:
        """What of ``think`` the template cannot be told, "" if all of it can."""
        if not think:
            return ""
        if not (self.flags or self.levels or self.word_role):
            return NO_SWITCH
        if think in LEVELS and think not in self.levels:
            return ON_AND_OFF
        if think == "off" and not (self.flags or self.word_role or _NO_EFFORT in self.levels):
            return NEVER_OFF
        return ""

    def remark(self, opens_thought: bool) -> str:
        """What the model does where nothing is said, and how to change it; "" for a model without
        a thought. ``opens_thought``: its prompts end in the mark that opens one."""
        can_switch = self.flags or self.word_role or _NO_EFFORT in self.levels
        if can_switch and self.by_default:
            return thought.THINKS
        if can_switch and self.by_default is False:
            return thought.ANSWERS_AT_ONCE
        if can_switch and not self.levels and not opens_thought:
            return thought.DECIDES
        if self.levels:
            return thought.THINKS_BY_LEVEL
        if opens_thought:
            return thought.ALWAYS_THINKS
        return ""


def find_switch(source: str, render: Render) -> ThinkingSwitch:
    """What the template ``source`` understands, by what ``render`` makes of it."""
    asked = (("user", _QUESTION),)

    def shown(**variables: object) -> str | None:
        return render(asked, variables)

    base = shown()
    flags = {
        name: (on, off)
        for name in FLAGS
        if name in source and (on := shown(**{name: True})) != (off := shown(**{name: False}))
    }
    levels, thinks_by_level = _levels(source, base, lambda level: shown(**{EFFORT: level}))
    if flags:
        on, off = next(iter(flags.values()))
        by_default = True if base == on else False if base == off else None
        return ThinkingSwitch(tuple(flags), levels, "", by_default)
    if levels:
        return ThinkingSwitch((), levels, "", thinks_by_level)
    if _WORDS[False] in source:
        return _word_switch(render, asked)
    return ThinkingSwitch()


def _levels(
    source: str, base: str | None, shown: Callable[[str], str | None]
) -> tuple[tuple[str, ...], bool | None]:
    """The levels that make a difference, and whether the model thinks without one."""
    if EFFORT not in source:
        return (), None
    anything = shown(_LEVEL)
    if anything is not None and _LEVEL in anything:
        return LEVELS, True
    found = {level: text for level in (_NO_EFFORT, *LEVELS) if (text := shown(level)) is not None}
    if len({base, *found.values()}) < 2:
        return (), None
    silent = found.get(_NO_EFFORT)
    if silent is not None and silent == found.get(LEVELS[-1]):
        del found[_NO_EFFORT]
    return tuple(found), None if silent is None else silent != base


def _word_switch(render: Render, asked: Sequence[Turn]) -> ThinkingSwitch:
    for role, turns in (("system", (("system", _SYSTEM), *asked)), ("user", asked)):
        plain = render(turns, {})
        texts = {}
        for on, word in _WORDS.items():
            at = 0 if role == "system" else len(turns) - 1
            said = (*turns[:at], (role, f"{turns[at][1]} {word}"), *turns[at + 1 :])
            texts[on] = (render(said, {}) or "").replace(f" {word}", "")
        if texts[True] != texts[False]:
            return ThinkingSwitch(word_role=role, by_default=texts[True] == plain)
    return ThinkingSwitch()
