"""Any model as a judge: loaded like a contestant, asked greedily, one prompt at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tui.cli.support import options
from tui.engines.base import Engine, EngineError, Message, Request, SamplingOptions
from tui.events import Answered, Cancelled, Delta, Failed
from tui.host import cpu
from tui.settings import Settings

MAX_NEW_TOKENS = 400
"""Of a verdict with its reasons."""


@dataclass(slots=True)
class Judge:
    """A loaded model that judges; ``asked`` counts its answers, ``cut`` those that ended at
    ``max_new_tokens``."""

    label: str
    family: str
    engine: Engine
    max_new_tokens: int
    asked: int = 0
    cut: int = 0

    def ask(self, *turns: str) -> str:
        """The whole visible answer to a conversation: prompts and answers in turn.

        Raises:
            EngineError: the model failed.
        """
        said, finish = ask_judge(self.engine, turns, self.max_new_tokens)
        self.asked += 1
        self.cut += finish == "length"
        return said


@contextmanager
def judge_model(
    reference: str,
    settings: Settings,
    max_new_tokens: int,
    say: Callable[[str], None],
    yes: bool = False,
) -> Iterator[Judge]:
    """A model ready to judge; closed at the end. With ``yes`` it is fetched unasked.

    Raises:
        UserError: it cannot be found, loaded, or does not answer.
    """
    from tui.run.engine_factory import engine_factory

    (model,) = options.resolve_models([reference], settings, yes)
    engine = engine_factory([model], (), settings.run, False).make(model, cpu.cores())
    try:
        say(f"loading {model.label}")
        loaded = engine.load(lambda _, __: None)
        yield Judge(model.label, loaded.family or model.family, engine, max_new_tokens)
    finally:
        engine.close()


def ask_judge(engine: Engine, turns: Sequence[str], max_new_tokens: int) -> tuple[str, str]:
    """The whole visible answer to a conversation, and how it ended (`tui.events.Answered`).

    Raises:
        EngineError: the model failed.
    """
    messages = tuple(
        Message(("user", "assistant")[number % 2], text) for number, text in enumerate(turns)
    )
    request = Request(0, messages, max_new_tokens, SamplingOptions(greedy=True))
    pieces: list[str] = []
    finish = ""
    for _, body in engine.answer([request]):
        match body:
            case Delta(recast=True):
                pieces.clear()
            case Delta(text=text, reasoning=False):
                pieces.append(text)
            case Failed(cause=cause, message=message, next_step=next_step):
                raise EngineError(cause, f"the judge failed: {message}", next_step)
            case Cancelled():
                raise EngineError("cancelled", "the judge was stopped")
            case Answered():
                finish = body.finish
                break
    return "".join(pieces), finish
