"""Any model as a judge: loaded like a contestant, asked greedily, one prompt at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui.cli.support import options
from tui.engines.base import Engine, EngineError, Message, Request, SamplingOptions
from tui.events import Answered, Cancelled, Delta, Failed
from tui.host import cpu
from tui.settings import Settings

MAX_NEW_TOKENS = 400
"""Of a verdict with its reasons."""


@contextmanager
def judge_model(
    reference: str,
    settings: Settings,
    max_new_tokens: int,
    say: Callable[[str], None],
    yes: bool = False,
) -> Iterator[tuple[str, str, Callable[[str], str]]]:
    """A model ready to judge: its label, its family and how to ask it; closed at the end. With
    ``yes`` it is fetched unasked.

    Raises:
        UserError: it cannot be found, loaded, or does not answer.
    """
    from tui.run.engine_factory import engine_factory

    (model,) = options.resolve_models([reference], settings, yes)
    engine = engine_factory([model], (), settings.run, False).make(model, cpu.cores())
    try:
        say(f"loading {model.label}")
        loaded = engine.load(lambda _, __: None)
        yield (
            model.label,
            loaded.family or model.family,
            lambda prompt: ask_judge(engine, prompt, max_new_tokens),
        )
    finally:
        engine.close()


def ask_judge(engine: Engine, prompt: str, max_new_tokens: int = MAX_NEW_TOKENS) -> str:
    """The whole visible answer to one prompt.

    Raises:
        EngineError: the model failed.
    """
    request = Request(0, (Message("user", prompt),), max_new_tokens, SamplingOptions(greedy=True))
    pieces: list[str] = []
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
                break
    return "".join(pieces)
