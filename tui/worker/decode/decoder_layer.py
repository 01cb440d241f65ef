"""A whole decoder layer by one call of our own kernel (``kernels/decoder_layer.c``), for the few
new tokens of a decode step: calling its parts one by one from Python takes a small model as long
as reading half of its weights. It computes what these parts compute, bit for bit."""

import ctypes
from typing import Any

import torch
from torch import nn

from tui.worker.decode import fused_layers
from tui.worker.decode.buffered_cache import BUFFER_TOKENS, MAX_STEP_TOKENS, BufferedCacheLayer
from tui.worker.kernels import abi, build
from tui.worker.quant import fused_linear, native_linear

_NATIVE = (native_linear.NativeBf16Linear, native_linear._NativeQuantisedLinear)


def _linears(module: Any) -> list[Any] | None:
    """The four layers qkv, o, gate_up and down, where all of them are our own and in formats
    with the same dtype of activations."""
    attention, mlp = module.self_attn, module.mlp
    qkv: Any = getattr(attention, "q_proj", None)
    gate_up: Any = getattr(mlp, "gate_proj", None)
    if not all(isinstance(one, fused_linear.LinearSlice) for one in (qkv, gate_up)):
        return None
    found = [qkv.layer, attention.o_proj, gate_up.layer, mlp.down_proj]
    kinds = {isinstance(one, native_linear.NativeBf16Linear) for one in found}
    return found if len(kinds) == 1 and all(isinstance(one, _NATIVE) for one in found) else None


class FusedDecoderLayer(nn.Module):  # type: ignore[misc]
    """A decoder layer of the Llama kind whose cache layer is a `BufferedCacheLayer`."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Give a module what `forward` needs; whether it can be computed here."""
        linears, attention = _linears(module), module.self_attn
        if linears is None or module.mlp.config.hidden_act != "silu":
            return False
        descriptors = [linear.descriptor() for linear in linears]
        dtype = torch.float32 if descriptors[0].bits == 16 else torch.bfloat16
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
        width = attention.head_dim
        heads = descriptors[1].inputs // width
        kv_heads = (descriptors[0].outputs // width - heads) // 2
        hidden, inner = descriptors[0].inputs, descriptors[3].inputs
        if (hidden | width | inner) % fused_layers.LANES or width > fused_layers.MAX_HEAD_DIM:
            return False
        eps = [0.0 if norm is None else norm.variance_epsilon for norm in norms[:3]]
        addresses = [None if weight is None else weight.data_ptr() for weight in weights]
        made = abi.DecoderLayer(*descriptors, *addresses, heads, kv_heads, width, *eps)
        made.scale, made.dtype = attention.scaling, abi.DTYPE_CODES[dtype]
        # The addresses are those of what is held here.
        module._held, module._fused = (linears, weights), made
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
        step.cosine, step.sine = cosine.data_ptr(), sine.data_ptr()
        step.keys, step.values = layer.keys.data_ptr(), layer.values.data_ptr()
        step.buffer_keys, step.buffer_values = buffer_keys.data_ptr(), buffer_values.data_ptr()
        step.mask = None if mask is None else mask.data_ptr()
        step.batch, step.new_tokens, step.tokens, step.buffered = batch, count, tokens, start
        step.position_stride = count if cosine.shape[0] > 1 else 0
        if self._kernel(ctypes.byref(self._fused), ctypes.byref(step)):
            raise MemoryError("not enough memory for a decoder layer")
        return y


CLASSES = dict.fromkeys(
    (f"{name}DecoderLayer" for name in ("Llama", "Qwen2", "Qwen3", "Qwen3VLText")),
    FusedDecoderLayer,
)
"""Modules that are computed here, by the names of their classes."""
