"""What guessing tokens from the prompt (`--lookup`) gains, and that it changes no text.

    python -m benchmarks.lookup [--model demo] [--formats bf16 int8 int4] [--new 128]
        [--rounds 3]

The same greedy answers with and without, by turns, from two workers of one model: to prompts
whose answer repeats much of them (mend a text, quote it, rename in a program) and to such as
are answered freely. Printed are the ratio of their speeds, what share of the guessed tokens was
right, and how many of the texts are the same: all, or nothing may be guessed in that format
(`tui.worker.decode.prompt_lookup.rounds_rows_alike`).
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import row, spread
from tui import settings
from tui.cli.support import options
from tui.engines.base import Message, Request, SamplingOptions
from tui.engines.local import LocalEngine
from tui.events import Answered, Delta
from tui.host import cpu

_TEXT = (
    "The river rises in the northern hills and flows past three old towns before it reaches "
    "the sea. In spring the melting snow fills its banks, and the fields on both sides are "
    "under water for weeks. Farmers wait until the water has gone, then sow barley and beans. "
    "In the largest of the towns a stone bridge of nine arches has stood for six hundred years. "
    "Every autumn boats with apples, honey and wool stop there, and the market lasts ten days."
)
_CODE = """def total(items):
    result = 0
    for item in items:
        if item.price > 0:
            result = result + item.price * item.count
    return result

def mean(items):
    if not items:
        return 0
    return total(items) / len(items)
"""
PROMPTS = {
    "repeats its prompt": (
        f"Write this text again, with 'river' changed to 'stream':\n\n{_TEXT}",
        f"Quote the first three sentences of this text word for word:\n\n{_TEXT}",
        f"Rename `items` to `goods` in this program and show all of it:\n\n{_CODE}",
    ),
    "is free": (
        "Tell me a story about a lighthouse keeper and a lost sailor.",
        "What should one know before travelling by train for the first time?",
        "Explain why the sky is blue to a child.",
    ),
}


def ask(engine: LocalEngine, prompt: str, new: int) -> tuple[str, Answered]:
    """The text and the figures of one answer."""
    request = Request(1, (Message("user", prompt),), new, SamplingOptions(greedy=True))
    bodies = [body for _, body in engine.answer([request])]
    assert isinstance(bodies[-1], Answered), bodies[-1]
    return "".join(body.text for body in bodies if isinstance(body, Delta)), bodies[-1]


def measure(reference: str, dtype: str, new: int, rounds: int, log: Path) -> None:
    """One format."""
    (model,) = options.resolve_models([f"{reference}@{dtype}"], settings.load({}))
    plain, guessing = engines = [
        LocalEngine(model.checkpoint, dtype, cpu.cores(), log, lookup=on) for on in (False, True)
    ]
    try:
        for engine in engines:
            engine.load(lambda t_ns, body: None)
            ask(engine, "hello", 8)
        for kind, prompts in PROMPTS.items():
            told(f"{dtype}, the answer {kind}", plain, guessing, prompts * rounds, new)
    finally:
        for engine in engines:
            engine.close()


def told(
    name: str, plain: LocalEngine, guessing: LocalEngine, prompts: Sequence[str], new: int
) -> None:
    """Ask all prompts both ways and print."""
    ratios, found, same = [], defaultdict[str, int](int), 0
    for prompt in prompts:
        (text, without), (other, lookup) = (ask(e, prompt, new) for e in (plain, guessing))
        if text == other and without.tpot_ms and lookup.tpot_ms:
            same += 1
            ratios.append(without.tpot_ms / lookup.tpot_ms)
        found["guessed"] += lookup.guessed
        found["right"] += lookup.accepted
    row(name, spread(ratios, "x decode speed"))
    right = found["right"] / max(1, found["guessed"])
    row("  guessed, right; texts alike", f"{found['guessed']}, {right:.0%}; {same}/{len(prompts)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--formats", nargs="+", default=["bf16", "int8", "int4"])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for dtype in given.formats:
            measure(given.model, dtype, given.new, given.rounds, Path(folder) / "log")


if __name__ == "__main__":
    main()
