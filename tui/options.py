"""The settings that travel below the command line, grouped by who is told of them.

A field is the whole declaration of a setting: its kind, default, flags, and what it has to do
with answers. `tui.settings` reads the values.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui import setting_kinds as kinds
from tui.host.paths import portable
from tui.setting_kinds import Flag, declarations, setting

THINK = ("on", "off", "low", "medium", "high")
"""What may be asked of a model's thinking."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is asked to do. None leaves it to the model.

    ``context`` bounds prompt and answer together, in tokens (None: the model's own bound,
    while memory is planned for a conversation of common length);
    ``sampling`` is ``model`` (the checkpoint's own way), ``greedy`` or ``sample``;
    ``batch`` is how many answers of a question set a local model decodes together at most
    (None: as many as memory allows, up to 8); ``lookup`` guesses tokens from the prompt (same
    text, sooner where an answer repeats it); ``think`` says whether or how much a model thinks
    before it answers, and ``think_tokens`` after how many tokens a thought is ended (they do not
    count for ``max_new_tokens``); ``loop_stop`` ends an answer that only repeats one
    token or one short cycle; ``schedule`` is ``auto`` (what fits in memory is held together, and
    the models take turns computing), ``together`` (they compute at the same time) or
    ``one-at-a-time`` (one model is held at a time, and makes one answer at a time); ``measure``
    takes the standard measure of each local model; ``dimensions`` are what answers are
    judged in where the question set names none; ``pasted`` is a file with the answers of models
    that a person pastes (`tui.engines.pasted.read_pasted`); ``concurrency`` is how many questions
    at most each address of a service gets at once (None: as its entry says); ``budget`` is the most
    that services may cost, by currency (`tui.run.budget`); ``prices`` maps a model's reference to
    what `tui.prices` says of one, ``services`` a name to what `tui.services` does; ``title`` is
    what the session is listed as.
    """

    system: str | None = field(
        default=None,
        metadata=setting(
            kinds.TEXT, Flag("--system", "System prompt.", "TEXT"), effect="answer", per_column=True
        ),
    )
    max_new_tokens: int = field(
        default=512,
        metadata=setting(
            kinds.whole(1, 1 << 20),
            Flag("--max-new-tokens", "Tokens of an answer.", "N"),
            effect="answer",
            per_column=True,
        ),
    )
    context: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(64, 1 << 20),
            Flag("--context", "Tokens of prompt and answer together.", "N"),
            effect="answer",
        ),
    )
    sampling: str = field(
        default="model",
        metadata=setting(
            kinds.one_of("model", "greedy", "sample"),
            Flag("--sample", "Draw tokens at random.", value="sample"),
            Flag("--greedy", "Take the likeliest token, always.", value="greedy"),
            effect="answer",
            per_column=True,
        ),
    )
    temperature: float | None = field(
        default=None,
        metadata=setting(
            kinds.SAMPLING_KINDS["temperature"],
            Flag("--temperature", "Instead of the model's.", "X"),
            effect="answer",
            per_column=True,
        ),
    )
    top_p: float | None = field(
        default=None,
        metadata=setting(
            kinds.SAMPLING_KINDS["top_p"],
            Flag("--top-p", "Likewise.", "X"),
            effect="answer",
            per_column=True,
        ),
    )
    top_k: int | None = field(
        default=None,
        metadata=setting(kinds.SAMPLING_KINDS["top_k"], effect="answer", per_column=True),
    )
    repetition_penalty: float | None = field(
        default=None,
        metadata=setting(
            kinds.SAMPLING_KINDS["repetition_penalty"], effect="answer", per_column=True
        ),
    )
    seed: int | None = field(
        default=None,
        metadata=setting(
            kinds.SAMPLING_KINDS["seed"],
            Flag("--seed", "For the same draw each time.", "N"),
            effect="answer",
            per_column=True,
        ),
    )
    think: str | None = field(
        default=None,
        metadata=setting(
            kinds.one_of(*THINK),
            Flag(
                "--think",
                "Whether, or how much, models think before they answer (by default as they do).",
                "|".join(THINK),
            ),
            effect="answer",
            per_column=True,
        ),
    )
    think_tokens: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(0, 1 << 20),
            Flag("--think-tokens", "End a thought after N tokens; the answer goes on.", "N"),
            effect="answer",
            per_column=True,
        ),
    )
    logprobs: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(1, 20),
            Flag("--logprobs", "Record the K likeliest tokens of each step of an answer.", "K"),
            effect="run",
        ),
    )
    repeat: int = field(
        default=1,
        metadata=setting(kinds.whole(1, 1000), Flag("--repeat", "Ask N times.", "N"), effect="run"),
    )
    batch: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(1, 64),
            Flag(
                "--batch",
                "Answers a local model decodes together (as memory allows, 8 at most).",
                "N",
            ),
            effect="run",
        ),
    )
    lookup: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag(
                "--lookup",
                "Guess tokens from the prompt: the same text, sooner where answers repeat it.",
            ),
            effect="answer",
        ),
    )
    chat_template: Path | None = field(
        default=None,
        metadata=setting(
            kinds.PATH,
            Flag(
                "--chat-template",
                "Jinja template of local models, instead of the one in their folders.",
                "FILE",
            ),
            effect="answer",
        ),
    )
    loop_stop: bool = field(
        default=True,
        metadata=setting(
            kinds.FLAG,
            Flag(
                "--loop-stop/--no-loop-stop",
                "End an answer that only repeats itself (on by default).",
            ),
            effect="run",
        ),
    )
    schedule: str = field(
        default="auto",
        metadata=setting(
            kinds.one_of("auto", "together", "one-at-a-time"),
            Flag(
                "--together",
                "Hold all models in memory and let them compute at the same time.",
                value="together",
            ),
            Flag(
                "--one-at-a-time",
                "One model in memory at a time, one answer at a time.",
                value="one-at-a-time",
            ),
            effect="run",
        ),
    )
    measure: bool = field(
        default=True,
        metadata=setting(
            kinds.FLAG,
            Flag("--measure/--no-measure", "Measure each local model once, on the same work."),
            effect="run",
        ),
    )
    blind: bool = field(
        default=False,
        metadata=setting(kinds.FLAG, Flag("--blind", "Hide which model says what."), effect="run"),
    )
    dimensions: tuple[str | dict[str, str], ...] | None = field(
        default=None, metadata=setting(kinds.DIMENSIONS, effect="run")
    )
    pasted: Path | None = field(
        default=None,
        metadata=setting(
            kinds.PATH,
            Flag("--pasted", "TOML with the answers of pasted:NAME, by question id.", "FILE"),
            effect="none",
            on_resume="allowed",
        ),
    )
    title: str | None = field(
        default=None,
        metadata=setting(
            kinds.TEXT,
            Flag("--title", "What the session is listed as; #WORDS in it are tags.", "TEXT"),
            effect="run",
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=setting(
            kinds.whole(1, 256),
            Flag(
                "--concurrency",
                "Most questions at once of each address of a service; how many it takes is found.",
                "N",
            ),
            effect="run",
            on_resume="allowed",
        ),
    )
    budget: dict[str, float] | None = field(
        default=None,
        metadata=setting(
            kinds.AMOUNTS,
            Flag("--budget", "The most that services may cost, e.g. 2.00 or 2USD,15CNY.", "MONEY"),
            effect="run",
            on_resume="allowed",
        ),
    )
    prices: dict[str, dict[str, Any]] = field(
        default_factory=dict, metadata=setting(kinds.PRICE_TABLES, effect="none")
    )
    services: dict[str, dict[str, Any]] = field(
        default_factory=dict, metadata=setting(kinds.SERVICE_TABLES, effect="none")
    )

    def header(self) -> dict[str, Any]:
        """What of it shapes the run, for the header of a session; None is left out."""
        given = {name: getattr(self, name) for name in HEADER_NAMES}
        return {
            name: portable(value) if isinstance(value, Path) else value
            for name, value in given.items()
            if value is not None
        }


HEADER_NAMES = tuple(name for name, one in declarations(RunOptions).items() if one.effect != "none")
"""The settings that a session's header holds, in its order."""


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How the screen looks and what it listens to.

    ``output`` is ``cells`` (only what changed on the screen is written) or ``stock`` (Textual's
    own way); ``pictures`` of the screen are ``svg`` or ``png``; ``keys`` maps a binding's id to
    keys.
    """

    theme: str = field(
        default="duibi-dark",
        metadata=setting(
            kinds.TEXT, Flag("--theme", "Colours.", "THEME"), effect="none", on_resume="allowed"
        ),
    )
    lang: str = field(
        default="en",
        metadata=setting(
            kinds.one_of("en", "zh"),
            Flag("--lang", "Of the screen.", "en|zh"),
            effect="none",
            on_resume="allowed",
        ),
    )
    mouse: bool = field(
        default=False,
        metadata=setting(
            kinds.FLAG,
            Flag("--mouse/--no-mouse", "Off by default."),
            effect="none",
            on_resume="allowed",
        ),
    )
    output: str = field(
        default="cells", metadata=setting(kinds.one_of("cells", "stock"), effect="none")
    )
    pictures: str = field(
        default="svg", metadata=setting(kinds.one_of("svg", "png"), effect="none")
    )
    keys: dict[str, str] = field(
        default_factory=dict, metadata=setting(kinds.TEXT_TABLE, effect="none")
    )
    report: dict[str, str] = field(
        default_factory=dict, metadata=setting(kinds.REPORT_TABLE, effect="none")
    )
