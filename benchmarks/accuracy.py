"""What each format changes in the demo model's judgement, against fp32.

    python -m benchmarks.accuracy [--model FOLDER] [--formats bf16 int8 int4] [--tokens 1024]
        [--step 8] [--recipes]

Over fixed text (the two built-in question sets with their references, in order; the weights
are calibrated on another text): the mean KL divergence of the next-token distributions from
those of fp32 (nats), the share of positions with the same most likely token, and the
perplexity, of passes of --step tokens at a time, as decoding is, and of the whole text at once.

The demo is published with 4 bits in groups of 32 itself, so that @int4 finds a grid that is
there already. Each figure is therefore given for the *shuffled* demo too: its channels are
put into another order, which changes nothing that it computes, but mixes the groups; that
is what happens to weights that were not rounded before. --recipes compares ways to 4 bits.
"""

import argparse
import math
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import row
from tui import questions
from tui.models import demo
from tui.worker.checkpoint import Checkpoint
from tui.worker.decode.attention import attach, new_kv_cache, supports_model
from tui.worker.gguf.convert import convert_gguf
from tui.worker.load import prepare
from tui.worker.load.loader import open_checkpoint
from tui.worker.quant import (
    aligned_safetensors,
    calibrate,
    linear_groups,
    native_linear,
    torch_linear,
)

Recipe = Callable[[linear_groups.LinearGroup, torch.Tensor, Any, Any], Any]


def quiet(*_: Any) -> None:
    """No progress."""


def text() -> str:
    """The fixed text."""
    parts: list[str] = []
    for name in questions.BUILT_IN:
        for question in questions.load(name).questions:
            parts += [*question.turns, *question.reference]
    return "\n".join(part for part in parts if part)


def at_once(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of every next token, from one pass."""
    return model(input_ids=ids).logits[0].float().log_softmax(-1)


def in_steps(model: Any, ids: torch.Tensor, step: int) -> torch.Tensor:
    """The same, ``step`` tokens a pass."""
    cache, found = new_kv_cache(model), []
    for start in range(0, ids.shape[1], step):
        out = model(input_ids=ids[:, start : start + step], past_key_values=cache, use_cache=True)
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


def shuffled(checkpoint: Checkpoint, folder: Path) -> Path:
    """A Llama's checkpoint with its channels in another order, in ``folder``: the hidden
    ones, those within each feed-forward part, and those within each head's values."""
    model = checkpoint.build("fp32", quiet)
    config, random = model.config, torch.Generator().manual_seed(0)
    heads, kv = config.num_attention_heads, config.num_key_value_heads

    def order(count: int) -> torch.Tensor:
        return torch.randperm(count, generator=random)

    hidden = order(config.hidden_size)
    model.model.embed_tokens.weight.data = model.model.embed_tokens.weight[:, hidden].clone()
    norms = [model.model.norm]
    for layer in model.model.layers:
        norms += [layer.input_layernorm, layer.post_attention_layernorm]
        inner = order(config.intermediate_size)
        width = layer.self_attn.v_proj.out_features // kv
        within = torch.stack([order(width) for _ in range(kv)])
        values = (torch.arange(kv)[:, None] * width + within).reshape(-1)
        mixed = within.repeat_interleave(heads // kv, 0)
        outputs = (torch.arange(heads)[:, None] * width + mixed).reshape(-1)
        attention, mlp = layer.self_attn, layer.mlp
        for part, rows, columns in (
            (attention.q_proj, None, hidden),
            (attention.k_proj, None, hidden),
            (attention.v_proj, values, hidden),
            (attention.o_proj, hidden, outputs),
            (mlp.gate_proj, inner, hidden),
            (mlp.up_proj, inner, hidden),
            (mlp.down_proj, hidden, inner),
        ):
            weight = part.weight.data if rows is None else part.weight.data[rows]
            part.weight.data = weight[:, columns].clone()
    for norm in norms:
        norm.weight.data = norm.weight[hidden].clone()
    model.tie_weights()
    model.save_pretrained(folder)
    for file in checkpoint.path.glob("*token*"):
        shutil.copy(file, folder / file.name)
    return folder


def _tiled(unit: linear_groups.LinearGroup, weight: Any, bias: Any, importance: Any) -> Any:
    kind = native_linear.NativeInt6Linear if unit.is_head else native_linear.NativeInt4Linear
    return kind(kind.pack(weight, bias, importance), weight.shape[0])


def _torchs(unit: linear_groups.LinearGroup, weight: Any, bias: Any, importance: Any) -> Any:
    kind = torch_linear.TorchInt8Linear if unit.is_head else torch_linear.TorchInt4Linear
    return kind(kind.pack(weight, bias, importance))


def _mixed(*wide: str) -> Recipe:
    def layer(unit: linear_groups.LinearGroup, weight: Any, bias: Any, importance: Any) -> Any:
        if any(name.endswith(wide) for name in unit.members):
            return native_linear.NativeInt8Linear(
                native_linear.NativeInt8Linear.pack(weight, bias), weight.shape[0]
            )
        return _tiled(unit, weight, bias, importance)

    return layer


RECIPES: tuple[tuple[str, Recipe, bool], ...] = (
    ("scale and zero bf16, clip search", _torchs, False),
    ("the same, weighed by inputs", _torchs, True),
    ("scale and zero 8 bits, least squares", _tiled, False),
    ("the same, weighed by inputs (@int4)", _tiled, True),
    ("that, o_proj in 8 bits", _mixed("o_proj"), True),
    ("that, down_proj in 8 bits", _mixed("down_proj"), True),
    ("that, q, k, v and o in 8 bits", _mixed("q_proj", "o_proj"), True),
)
"""Name, how a layer is made, and whether it learns what its inputs are like."""


def made(checkpoint: Checkpoint, recipe: Recipe, weighed: bool) -> tuple[Any, float]:
    """A model by a recipe, and its bits a weight, scales included, the head not."""
    model = checkpoint.build("bf16", quiet)
    units = list(linear_groups.linear_groups(model))
    size = count = 0

    def take(number: int, importance: torch.Tensor | None) -> None:
        nonlocal size, count
        unit = units[number]
        weight, bias = linear_groups.concatenate(model, unit)
        layer = recipe(unit, weight.float(), bias, importance if weighed else None)
        if not unit.is_head:
            count += weight.numel()
            parts = type(layer).packed_specs(*weight.shape, False).values()
            size += sum(aligned_safetensors.nbytes(dtype, shape) for dtype, shape in parts)
        linear_groups.replace_linears(model, unit, layer)

    layers = calibrate.Layers(model, [unit.members for unit in units])
    calibrate.calibrate_groups(layers, checkpoint.tokenizer, take)
    return model, size * 8 / count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--formats", nargs="*", default=["bf16", "int8", "int4"])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--step", type=int, default=8)
    parser.add_argument("--recipes", action="store_true")
    given = parser.parse_args()
    folder = given.model or convert_gguf(demo.fetch(lambda _: True, quiet), quiet)
    torch.set_grad_enabled(False)
    report(folder, given, "as published")
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = open_checkpoint(folder)
        report(shuffled(checkpoint, Path(temporary)), given, "shuffled")


def report(folder: Path, given: argparse.Namespace, said: str) -> None:
    """Print all figures of one checkpoint."""
    checkpoint = open_checkpoint(folder)
    ids = torch.tensor([checkpoint.tokenizer.encode(text())[: given.tokens]])
    exact = at_once(checkpoint.build("fp32", quiet), ids)
    row(said, f"{ids.shape[1]} tokens, perplexity in fp32 {perplexity(exact, ids):.2f}")
    ways: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
        "decoding": partial(in_steps, step=given.step),
        "prompt": at_once,
    }
    for dtype in given.formats:
        model, _, _ = prepare.prepare_model(checkpoint, dtype, quiet)
        if supports_model(model):
            attach(model)
        for name, way in ways.items():
            row(f"{dtype}, {name}", compare(way(model, ids), exact, ids))
    for name, recipe, weighed in RECIPES if given.recipes else ():
        model, bits = made(checkpoint, recipe, weighed)
        row(f"{name}: {bits:.2f} bits", compare(at_once(model, ids), exact, ids))


if __name__ == "__main__":
    main()
