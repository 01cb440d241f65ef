"""The experts of one layer of Qwen3-30B-A3B: milliseconds of a decode step by format.

    python -m benchmarks.experts [--experts 64] [--rows 1 8] [--formats bf16 int8 int4]

Random weights, of fewer experts than the layer has: what is read is those that a row chose. Beside
each format stands what transformers' own module takes in bfloat16, and how many gigabytes of
weights a second that is.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeExperts

from benchmarks.figures import row
from benchmarks.random_mixture import SHAPE
from tui.worker.kernels import build
from tui.worker.quant.choose_format import bf16_layer, quantised_format
from tui.worker.quant.experts import Experts, expert_groups

_ROUNDS = 40
_ROUNDS_OF_TORCH = 3
"""Without instructions for bfloat16 a step takes it a second."""


def layer(experts: int) -> Any:
    """transformers' module of a layer's experts."""
    config = Qwen3MoeConfig(**(SHAPE | {"num_experts": experts}))
    config._experts_implementation = "eager"
    with torch.device("meta"):
        made = Qwen3MoeExperts(config)
    made.to_empty(device="cpu").to(torch.bfloat16)
    for one in made.parameters():
        one.data.normal_(0, 0.02)
    return made.eval()


def reduced(whole: Any, dtype: str) -> Experts:
    """The same over layers of ours."""
    holder = torch.nn.Module()
    holder.experts = whole
    (group,) = expert_groups(holder)
    made: list[list[Any]] = []
    for part, weights in ((group.up, whole.gate_up_proj), (group.down, whole.down_proj)):
        if dtype == "bf16":
            made.append([bf16_layer((one, None)) for one in weights.detach()])
            continue
        kind = quantised_format(part, dtype)
        packed = [kind.pack(one, None) for one in weights.detach()]
        made.append([kind.from_packed(parts, part.rows[0], False) for parts in packed])
    return Experts(_gate_of(whole), made[0], made[1])


def _gate_of(whole: Any) -> Any:
    """A module without weights that has the gate of another."""
    with torch.device("meta"):
        return type(whole)(whole.config)


def step_ms(
    compute: Callable[..., Any], rows: int, experts: int, dtype: torch.dtype, rounds: int = _ROUNDS
) -> float:
    """The median of a step whose rows choose at random."""
    each, times = SHAPE["num_experts_per_tok"], []
    for _ in range(rounds):
        x = torch.randn(rows, SHAPE["hidden_size"]).to(dtype)
        chosen = torch.stack([torch.randperm(experts)[:each] for _ in range(rows)])
        shares = torch.full((rows, each), 1 / each, dtype=dtype)
        began = time.perf_counter()
        compute(x, chosen, shares)
        times.append(time.perf_counter() - began)
    return 1000 * sorted(times)[rounds // 2]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--rows", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--formats", nargs="*", default=["bf16", "int8", "int4"])
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    row("kernels", build.variant_name() or build.unavailable_reason())
    whole = layer(given.experts)
    each = 3 * SHAPE["hidden_size"] * SHAPE["moe_intermediate_size"]
    found: dict[tuple[str, int], float] = {}
    for rows in given.rows:
        found["torch", rows] = step_ms(whole, rows, given.experts, torch.bfloat16, _ROUNDS_OF_TORCH)
        row(f"transformers, {rows} rows", f"{found['torch', rows]:.2f} ms")
    for dtype in given.formats:
        made = reduced(whole, dtype)
        kept = torch.float32 if dtype == "bf16" else torch.bfloat16
        for rows in given.rows:
            took = found[dtype, rows] = step_ms(made, rows, given.experts, kept)
            read = each * SHAPE["num_experts_per_tok"] if rows == 1 else 0
            speed = f", {read / took / 1e6:.1f} G weights/s" if read else ""
            against = f"{found['torch', rows] / took:.1f} x transformers"
            if ("bf16", rows) in found and dtype != "bf16":
                against += f", {found['bf16', rows] / took:.1f} x bf16"
            row(f"{dtype}, {rows} rows", f"{took:.2f} ms{speed}", against)


if __name__ == "__main__":
    main()
