"""What stands between the linear layers, computed by our kernels: a model's own logits."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.support import tiny
from tests.support.kernels import needs_kernels
from tui.worker.decode import attention, decoder_layer, fused_layers, step_model
from tui.worker.kernels import build
from tui.worker.load.text_model import causal_class
from tui.worker.quant import experts, linear_groups, native_linear

pytestmark = needs_kernels

SIZES = tiny.config().to_dict() | {
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
}
EXPERTS: dict[str, Any] = {
    "num_experts": 4,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 128,
    "mlp_only_layers": [1],
}
MODELS: dict[str, dict[str, Any]] = {
    # Heads of 64, of 16, and of 48, for which there is no whole number of pairs of registers.
    "llama": {},
    "qwen2": {"num_attention_heads": 16, "num_key_value_heads": 16},
    "qwen3": {"head_dim": 48},
    "glm": {"head_dim": 64},
    # All experts are chosen, or there is one: a rounding must not choose others.
    "qwen3_moe": EXPERTS | {"head_dim": 48},
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 128},
    "qwen3_vl_text": {"head_dim": 48},
    "mixtral": {"num_local_experts": 2, "num_experts_per_tok": 2},
}

MIXTURES = ("qwen3_moe", "qwen2_moe", "mixtral")


@pytest.fixture(autouse=True)
def still() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


def pair(kind: str, dtype: torch.dtype, native: Any = None) -> tuple[Any, Any]:
    """A model as transformers computes it, and with our parts; ``native``: the linear layers'
    class, torch's where there is none."""
    config = _config(kind)
    config.attention_bias = kind not in ("qwen3", "qwen3_moe", "qwen3_vl_text")
    theirs = _of(config).eval()
    for parameter in theirs.parameters():
        # Norms of ones and biases of zeros would hide a mistake.
        parameter.add_(torch.randn_like(parameter) * 0.05)
    for module in theirs.modules():
        if type(module).__name__.endswith("TopKRouter"):
            module.weight.copy_(module.weight.bfloat16())  # as checkpoints hold it
    theirs = theirs.to(dtype)
    ours = copy.deepcopy(theirs)
    for unit in list(linear_groups.linear_groups(ours)):
        weight, bias = linear_groups.concatenate(ours, unit)
        linear_groups.replace_linears(ours, unit, linear(weight, bias, dtype, native))
    for group in list(experts.expert_groups(ours)) if native else []:
        theirs_here = ours.get_submodule(group.name)
        both = [
            [linear(one.detach(), None, dtype, native) for one in getattr(theirs_here, name)]
            for name in ("gate_up_proj", "down_proj")
        ]
        experts.replace_experts(ours, group, *both)
    attention.attach(ours)
    return theirs, ours


def _config(kind: str, **more: Any) -> Any:
    own = ("architectures", "model_type", "head_dim")
    given = {name: value for name, value in SIZES.items() if name not in own}
    return AutoConfig.for_model(kind, **(given | MODELS[kind] | more))


def _of(config: Any) -> Any:
    """The model of a configuration; of a text half without a class the one that is made for it."""
    if config.model_type == "qwen3_vl_text":
        return causal_class("qwen3_vl.Qwen3VLTextModel", "qwen3_vl")._from_config(config)
    return AutoModelForCausalLM.from_config(config)


def linear(
    weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype, native: Any
) -> torch.nn.Module:
    """A layer of a class of ours, or of torch's."""
    if native is native_linear.NativeBf16Linear:
        return native_linear.NativeBf16Linear((weight, bias))
    if native is not None:
        quantised: torch.nn.Module = native(native.pack(weight, bias), weight.shape[0])
        return quantised
    layer = torch.nn.Linear(*weight.shape[::-1], bias=bias is not None, dtype=dtype)
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer


def spoken(model: Any, ids: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    """Logits of all tokens, handed over in pieces of so many; of the last as `Batch` does
    where the second row is the shorter."""
    cache = attention.new_kv_cache(model)
    found: list[torch.Tensor] = []
    more: dict[str, torch.Tensor] = {}
    for part in ids.split(pieces, 1):
        if len(found) == len(pieces) - 1:
            length = cache.get_seq_length() + 1
            held = torch.tensor([[length - 1], [length - 31]])
            seen = torch.arange(length)[None] >= length - 1 - held
            more = {"position_ids": held, "attention_mask": seen[:, None, None]}
        given = {"input_ids": part, "past_key_values": cache, "use_cache": True} | more
        found.append(model(**given).logits)
    return torch.cat(found, 1).float()


@pytest.mark.parametrize("kind", list(MODELS))
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
def test_logits_are_those_of_the_models_own_class(
    kind: str, dtype: torch.dtype, most: float
) -> None:
    theirs, ours = pair(kind, dtype)
    # A long prompt, tokens one by one and several that were guessed, over the tail's bound.
    pieces = [150, 1, 1, *[9] * 6, 1, 5, 1, 2, 1, 9, 1]
    ids = torch.randint(3, 300, (2, sum(pieces)))
    found, wanted = spoken(ours, ids, pieces), spoken(theirs, ids, pieces)
    for part in (slice(None), slice(-1, None)):
        off = (found - wanted)[:, part].norm() / wanted[:, part].norm()
        assert float(off) < most
    # The pairs that a GLM turns lie side by side: its attention module stays.
    kinds = {fused_layers.RMSNorm, fused_layers.SwiGLU, attention.FusedAttention}
    kinds |= {fused_layers.TopKRouter} if kind in MIXTURES else set()
    kinds -= {"glm": {attention.FusedAttention}, "mixtral": {fused_layers.SwiGLU}}.get(kind, set())
    assert kinds <= {type(module).__mro__[1] for module in ours.modules()}


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "qwen3_vl_text", *MIXTURES])
@pytest.mark.parametrize(
    ("native", "dtype"),
    [
        (native_linear.NativeBf16Linear, torch.float32),
        (native_linear.NativeInt8Linear, torch.bfloat16),
        (native_linear.NativeInt4Linear, torch.bfloat16),
    ],
)
def test_a_layer_at_once_gives_the_bits_of_its_parts(
    kind: str, native: Any, dtype: torch.dtype
) -> None:
    _, ours = pair(kind, dtype, native)
    pieces = [20, 1, 9, *[9] * 6, 3, 1]
    ids = torch.randint(3, 300, (2, sum(pieces)))
    kernel, calls = build.library().duibi_decoder_layer_forward, []

    def counted(*given: Any) -> int:
        calls.append(given)
        failed: int = kernel(*given)
        return failed

    # A shared expert is a part of its own.
    whole = [True, True] if kind != "qwen2_moe" else [False, True]
    assert [layer._is_whole for layer in ours.model.layers] == whole
    for layer in ours.model.layers:
        layer._kernel = counted
    found = spoken(ours, ids, pieces)
    assert len(calls) == len(ours.model.layers) * (len(pieces) - 1)
    for layer in ours.model.layers:
        layer._fused_dtype = None
    assert torch.equal(spoken(ours, ids, pieces), found)
    assert len(calls) == len(ours.model.layers) * (len(pieces) - 1)
    ours.model.layers[0]._fused_dtype, ours.model.layers[0]._kernel = dtype, lambda *_: 1
    with pytest.raises(MemoryError, match="decoder layer"):
        spoken(ours, ids, pieces)


@pytest.mark.parametrize("kind", MIXTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_router_chooses_what_its_class_does(kind: str, dtype: torch.dtype) -> None:
    given = {"num_experts": 24, "num_local_experts": 24, "num_experts_per_tok": 5}
    theirs = _of(_config(kind, **given)).eval()
    router = next(m for m in theirs.modules() if type(m).__name__.endswith("TopKRouter"))
    router.weight.copy_(torch.randn_like(router.weight).bfloat16())
    router, ours = router.to(dtype), copy.deepcopy(router).to(dtype)
    fused_layers.attach(ours, {})
    assert isinstance(ours, fused_layers.TopKRouter)
    for rows in (1, 3, 40):
        x = torch.randn(rows, 256).to(dtype)
        wanted, found = router(x), ours(x)
        # A rounding may put neighbours in another order: the logits of those chosen tell.
        assert all(len(set(row)) == 5 for row in found[2].tolist())
        best = wanted[0].float().topk(5).values
        assert torch.allclose(wanted[0].gather(1, found[2]).float(), best, atol=0.3, rtol=1e-2)
        for one, other in zip(found[:2], wanted[:2], strict=True):
            assert one.dtype == other.dtype
            assert torch.allclose(one.float(), other.float(), atol=2e-2, rtol=2e-2)
    equal = ours(torch.zeros(1, 256, dtype=dtype))
    assert equal[2].tolist() == [[0, 1, 2, 3, 4]], "of equal experts the first"
    ours._kernel = lambda *_: 1
    with pytest.raises(MemoryError, match="router"):
        ours(x)


def test_a_router_whose_weights_are_no_bfloat16_stays_that_of_its_class() -> None:
    theirs = _of(_config("mixtral"))
    for layer in theirs.model.layers:
        layer.mlp.gate.weight.zero_()
    theirs.model.layers[0].mlp.gate.weight.fill_(1 + 2**-20)
    attention.attach(theirs)
    own = [isinstance(layer.mlp.gate, fused_layers.TopKRouter) for layer in theirs.model.layers]
    assert own == [False, True]


def test_what_a_router_says_is_told_where_the_configuration_asks_for_it() -> None:
    _, ours = pair("mixtral", torch.bfloat16, native_linear.NativeInt4Linear)
    mlp, config = ours.model.layers[0].mlp, ours.config
    assert decoder_layer._mixture(mlp, torch.bfloat16, config)
    config.output_router_logits = True
    assert decoder_layer._mixture(mlp, torch.bfloat16, config) is None


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", *MIXTURES])
def test_a_step_through_all_layers_gives_the_bits_of_the_models_class(kind: str) -> None:
    _, ours = pair(kind, torch.bfloat16, native_linear.NativeInt8Linear)
    pieces = [20, 1, 9, *[9] * 6, 3, 1]
    ids = torch.randint(3, 300, (2, sum(pieces)))
    found = spoken(ours, ids, pieces)
    whole: Any = type(ours.model)
    assert issubclass(whole, step_model.StepModel)
    with pytest.MonkeyPatch.context() as patch:
        theirs = whole.__mro__[2]
        steps: list[int] = []
        patch.setattr(theirs, "forward", _noted(theirs.forward, steps))
        assert torch.equal(spoken(ours, ids, pieces), found)
        assert steps == [20], "the prompt alone"
        ours.model.__class__ = theirs
        assert torch.equal(spoken(ours, ids, pieces), found)
        assert steps == [20, *pieces]


def _noted(forward: Any, steps: list[int]) -> Any:
    def noted(self: Any, *given: Any, **more: Any) -> Any:
        steps.append(more["input_ids"].shape[1])
        return forward(self, *given, **more)

    return noted


def test_what_the_kernels_do_not_take_is_left_to_the_class() -> None:
    _, ours = pair("llama", torch.float32)
    norm = ours.model.norm
    x = torch.randn(2, 5, 256).double()
    replaced: Any = type(norm).__mro__[2]
    assert torch.equal(norm(x), replaced.forward(norm, x))
    odd = torch.nn.Linear(4, 4)
    odd.weight, odd.variance_epsilon = torch.nn.Parameter(torch.ones(9)), 1e-6
    assert not fused_layers.RMSNorm.prepare(odd)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_hidden_token_counts_for_nothing_and_no_number_stays_none(dtype: torch.dtype) -> None:
    query, key, value = (
        torch.randn(2, n, t, 64, dtype=dtype) for n, t in ((6, 1), (2, 90), (2, 90))
    )
    late = torch.randn(2, 2, 5, 64, dtype=dtype)
    mask = torch.rand(2, 1, 1, 95) > 0.5
    given = (key, late), (value, late)

    def found() -> torch.Tensor:
        return attention.attention_forward(None, query, *given, mask)[0]

    before = found()
    key.masked_fill_(~mask[:, 0, 0, :90, None].unsqueeze(1), 1e4)
    assert torch.equal(found(), before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_try_load", lambda: (None, "there is no C compiler"))
        assert torch.allclose(found().float(), before.float(), atol=0.02)
    query[1, 3, 0, 7] = float("nan")
    bad = ~found().isfinite().all(-1)
    assert bad.nonzero().tolist() == [[1, 0, 3]]
