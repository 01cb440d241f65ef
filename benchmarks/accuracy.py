"""What each format changes in the demo model's judgement, against fp32.

    python -m benchmarks.accuracy [--model FOLDER] [--formats bf16 int8 int4] [--tokens 1024]

Over fixed text (the two built-in question sets with their references, in order): the mean
KL divergence of the next-token distributions from those of fp32 (nats), the share of
positions with the same most likely token, and the perplexity. The passes are of up to 16
tokens at a time, as decoding is, and of the whole text at once, as prompts are: int8 takes
finer activations where rows are few.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import row
from tui import questions
from tui.host.paths import cache_dir
from tui.models import demo
from tui.worker import formats
from tui.worker.attention import new_cache
from tui.worker.gguf import converted
from tui.worker.load import open_checkpoint

_STEP = 8


def quiet(*_: Any) -> None:
    """No progress."""


def text() -> str:
    """The fixed text."""
    parts = []
    for name in questions.BUILT_IN:
        for question in questions.load(name).questions:
            parts += [*question.turns, question.reference or ""]
    return "\n".join(part for part in parts if part)


def at_once(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of every next token, from one pass."""
    return model(input_ids=ids).logits[0].float().log_softmax(-1)


def in_steps(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """The same, a few tokens a pass."""
    cache, found = new_cache(model), []
    for start in range(0, ids.shape[1], _STEP):
        out = model(input_ids=ids[:, start : start + _STEP], past_key_values=cache, use_cache=True)
        found.append(out.logits[0].float().log_softmax(-1))
    return torch.cat(found)


def compare(found: torch.Tensor, wanted: torch.Tensor, ids: torch.Tensor) -> str:
    """KL, agreement and perplexity in one line."""
    divergence = float((wanted.exp() * (wanted - found)).sum(-1).mean())
    agreement = float((found.argmax(-1) == wanted.argmax(-1)).float().mean())
    change = perplexity(found, ids) / perplexity(wanted, ids) - 1
    return f"KL {divergence:.5f}  top-1 {agreement:.1%}  perplexity {change:+.2%}"


def perplexity(found: torch.Tensor, ids: torch.Tensor) -> float:
    """exp of the mean surprise of each token after those before it."""
    return math.exp(-float(found[:-1].gather(1, ids[0, 1:, None]).mean()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--formats", nargs="+", default=["bf16", "int8", "int4"])
    parser.add_argument("--tokens", type=int, default=1024)
    given = parser.parse_args()
    folder = given.model or converted(
        demo.fetch(lambda _: True, quiet), cache_dir() / "converted", quiet
    )
    checkpoint = open_checkpoint(folder)
    torch.set_grad_enabled(False)
    ids = torch.tensor([checkpoint.codec.encode(text())[: given.tokens]])
    exact = at_once(checkpoint.build("fp32", quiet), ids)
    row("text", f"{ids.shape[1]} tokens, perplexity in fp32 {perplexity(exact, ids):.2f}")
    ways: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
        "decoding": in_steps,
        "prompt": at_once,
    }
    for dtype in given.formats:
        model, _, _ = formats.prepared(checkpoint, dtype, quiet)
        for name, way in ways.items():
            row(f"{dtype}, {name}", compare(way(model, ids), exact, ids))


if __name__ == "__main__":
    main()
