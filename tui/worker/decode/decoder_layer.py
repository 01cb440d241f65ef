"""A whole decoder layer by one call of our own kernel (``kernels/decoder_layer.c``), for the few
new tokens of a decode step: calling its parts one by one from Python takes a small model as long
as reading half of its weights. It computes what these parts compute, bit for bit."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tui.worker.decode import fused_layers
from tui.worker.decode.buffered_cache import BUFFER_TOKENS, MAX_STEP_TOKENS, BufferedCacheLayer
from tui.worker.kernels import abi, build
from tui.worker.quant import fused_linear, native_linear

_NATIVE = (native_linear.NativeBf16Linear, native_linear._NativeQuantisedLinear)


def _own(layers: Sequence[Any], dtype: torch.dtype | None = None) -> list[Any] | None:
    """Linear layers, where the first computes for several and all are our own, in formats with the
    same dtype of activations (``dtype``, where it is given)."""
    if not isinstance(layers[0], fused_linear.LinearSlice):
        return None
    found = [fused_linear.unsliced(one) for one in layers]
    if not all(isinstance(one, _NATIVE) for one in found):
        return None
    wanted = dtype or found[0].computes_in
    return found if all(one.computes_in == wanted for one in found) else None


def _dense(mlp: Any, dtype: torch.dtype) -> list[Any] | None:
    """The layers gate_up and down of a feed-forward part, where the kernel computes them."""
    if not hasattr(mlp, "gate_proj") or mlp.config.hidden_act != "silu":
        return None
    return _own((mlp.gate_proj, mlp.down_proj), dtype)


def _mixture(mlp: Any, dtype: torch.dtype, config: Any) -> list[Any] | None:
    """Router and experts of a feed-forward part that is nothing else, where the kernel computes
    them and nobody asks for what the router says."""
    parts = dict(mlp.named_children())
    if parts.keys() != {"gate", "experts"} or getattr(config, "output_router_logits", False):
        return None
    router, experts = parts["gate"], getattr(parts["experts"], "fused", None)
    if not isinstance(router, fused_layers.TopKRouter) or experts is None:
        return None
    return [router, experts] if router.weight.dtype == experts.dtype == dtype else None


class FusedDecoderLayer(nn.Module):  # type: ignore[misc]
    """A decoder layer of the Llama kind whose cache layer is a `BufferedCacheLayer`. Its
    feed-forward part, where it is neither dense nor a plain mixture, is its own module."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Give a module what `forward` needs; whether it can be computed here."""
        attention, mlp = module.self_attn, module.mlp
        attends = _own((attention.q_proj, attention.o_proj))
        if attends is None:
            return False
        dtype, width = attends[0].computes_in, attention.head_dim
        dense, mixture = _dense(mlp, dtype), _mixture(mlp, dtype, attention.config)
        norms = [
            module.input_layernorm,
            module.post_attention_layernorm,
            getattr(attention, "q_norm", None),
            getattr(attention, "k_norm", None),
        ]
        if any(norm is not None and norm.weight.dtype != dtype for norm in norms):
            return False
        weights = [
            None if norm is None else norm.weight.detach().float().contiguous() for norm in norms
        ]
        made = abi.DecoderLayer(*(linear.descriptor() for linear in [*attends, *(dense or ())]))
        if (made.qkv.inputs | width | made.down.inputs) % fused_layers.LANES:
            return False
        if width > fused_layers.MAX_HEAD_DIM:
            return False
        if mixture is not None:
            made.router, made.experts = (ctypes.addressof(one.descriptor) for one in mixture)
        addresses = [None if weight is None else weight.data_ptr() for weight in weights]
        made.input_norm, made.post_attention_norm, made.query_norm, made.key_norm = addresses
        eps = [0.0 if norm is None else norm.variance_epsilon for norm in norms[:3]]
        made.input_eps, made.post_attention_eps, made.query_eps = eps
        made.heads, made.head_dim = made.o.inputs // width, width
        made.kv_heads = (made.qkv.outputs // width - made.heads) // 2
        made.scale, made.dtype = attention.scaling, abi.DTYPE_CODES[dtype]
        # The addresses are those of what is held here.
        module._held, module._fused = (attends, dense, mixture, weights), made
        module._is_whole = dense is not None or mixture is not None
        module._fused_dtype, module._head_dim = dtype, width
        module._layer_index, module._step = attention.layer_idx, abi.Step()
        module._step.capacity = BUFFER_TOKENS
        module._kernel = build.library().duibi_decoder_layer_forward
        return True

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = False,
        position_embeddings: Any = None,
        **more: Any,
    ) -> torch.Tensor:
        """See the module's own class."""
        batch, count, _ = hidden_states.shape
        layer = None if past_key_values is None else past_key_values.layers[self._layer_index]
        if (
            count > MAX_STEP_TOKENS
            or type(layer) is not BufferedCacheLayer
            or not layer.is_initialized
            or hidden_states.dtype != self._fused_dtype
            or layer.keys.dtype != self._fused_dtype
            or position_embeddings[0].dtype != self._fused_dtype
            or position_embeddings[0].shape[-1] != self._head_dim
        ):
            found: torch.Tensor = super().forward(
                hidden_states,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                position_embeddings=position_embeddings,
                **more,
            )
            return found
        x = hidden_states.contiguous()
        cosine, sine = (part.contiguous() for part in position_embeddings)
        start, (buffer_keys, buffer_values) = layer.reserve(count)
        layer.keys, layer.values = layer.keys.contiguous(), layer.values.contiguous()
        tokens, y, step = layer.keys.shape[-2], torch.empty_like(x), self._step
        mask = attention_mask
        if mask is not None:
            mask = mask.expand(batch, 1, count, tokens + start + count).contiguous()
        step.x, step.y = x.data_ptr(), y.data_ptr()
        normed = None if self._is_whole else torch.empty_like(x)
        step.normed = None if normed is None else normed.data_ptr()
        step.cosine, step.sine = cosine.data_ptr(), sine.data_ptr()
        step.keys, step.values = layer.keys.data_ptr(), layer.values.data_ptr()
        step.buffer_keys, step.buffer_values = buffer_keys.data_ptr(), buffer_values.data_ptr()
        step.mask = None if mask is None else mask.data_ptr()
        step.batch, step.new_tokens, step.tokens, step.buffered = batch, count, tokens, start
        step.position_stride = count if cosine.shape[0] > 1 else 0
        if self._kernel(ctypes.byref(self._fused), ctypes.byref(step)):
            raise MemoryError("not enough memory for a decoder layer")
        return y if normed is None else y + self.mlp(normed)


_NAMES = ("Llama", "Qwen2", "Qwen3", "Qwen3VLText", "Mixtral", "Qwen2Moe", "Qwen3Moe")
CLASSES = dict.fromkeys((f"{name}DecoderLayer" for name in _NAMES), FusedDecoderLayer)
"""Modules that are computed here, by the names of their classes."""
