"""Attention for decode steps over a long KV cache. For a single query torch's fused attention is
several times slower on a CPU than two matrix products with a softmax between them."""

import ctypes
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from tui.worker.decode import decoder_layer, fused_layers, step_model
from tui.worker.decode.buffered_cache import (
    BUFFER_TOKENS,
    MAX_STEP_TOKENS,
    BufferedCacheLayer,
    KeyValuePair,
)
from tui.worker.decode.other_past import OtherPast, has_other_past
from tui.worker.kernels import abi, build
from tui.worker.quant import fused_linear

ATTENTION_NAME = "duibi"
_ROTATE_HALF = ("Llama", "Qwen2", "Qwen3", "Mixtral", "Qwen2Moe", "Qwen3Moe", "Qwen3VLText")
_SUPPORTED_MODELS = tuple(f"{name}ForCausalLM" for name in (*_ROTATE_HALF, "Glm"))
"""Classes whose attention hands keys and values from the cache straight to the attention
function and sees the whole cache in every layer."""
_ROTATE_HALF_MODULES = tuple(f"{name}Attention" for name in _ROTATE_HALF)
"""Attention classes with rotate-half RoPE over the whole head."""


def supports_model(model: Any) -> bool:
    """Whether a model's attention can be ours, and its answers decoded as a batch."""
    return type(model).__name__ in _SUPPORTED_MODELS and not getattr(
        model.config, "sliding_window", None
    )


def attach(model: Any) -> None:
    """Have a model that `supports_model` use this attention, and on a CPU the fused layers."""
    AttentionInterface.register(ATTENTION_NAME, attention_forward)
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
    model.set_attn_implementation(ATTENTION_NAME)
    if model.device.type == "cpu":
        classes = dict.fromkeys(_ROTATE_HALF_MODULES, FusedAttention)
        fused_layers.attach(model, classes | decoder_layer.CLASSES | step_model.CLASSES)


def new_kv_cache(model: Any) -> Any:
    """An empty cache for a model, ours where its attention is."""
    if has_other_past(model):
        return OtherPast()
    made = DynamicCache(config=model.config)
    if model.config._attn_implementation == ATTENTION_NAME:
        made.layers = [BufferedCacheLayer() for _ in made.layers]
    return made


def attention_forward(
    module: Any,
    query: torch.Tensor,
    key: Any,
    value: Any,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(q k / sqrt(width)) v, for a few query tokens over main tensors and buffers;
    anything else goes to torch's own. Every row is computed as it would be alone."""
    if not isinstance(key, tuple):
        found: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return found
    batch, heads, count, width = query.shape
    if fused_layers.supports(query, width) and not build.unavailable_reason():
        return _native_attention(query, key, value, attention_mask, scaling or width**-0.5), None
    groups = key[0].shape[1]
    shared = heads // groups * count
    grouped = (query * (scaling or width**-0.5)).reshape(batch, groups, shared, width)
    scores = torch.cat([grouped @ part.transpose(-1, -2) for part in key], -1).float()
    if attention_mask is None and count > 1:
        length = scores.shape[-1]
        seen = torch.arange(length, device=scores.device)
        attention_mask = (seen <= seen[-count:, None])[None, None]
    if attention_mask is not None:
        each = scores.view(batch, groups, -1, count, scores.shape[-1])
        scores = each.masked_fill(~attention_mask[:, :, None], -torch.inf).view(scores.shape)
    weights = scores.softmax(-1).to(query.dtype)
    split = key[0].shape[-2]
    out = weights[..., :split] @ value[0] + weights[..., split:] @ value[1]
    return out.reshape(batch, heads, count, width).transpose(1, 2), None


def _native_attention(
    query: torch.Tensor,
    key: KeyValuePair,
    value: KeyValuePair,
    mask: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """(batch, tokens, heads, width) of a query (batch, heads, tokens, width)."""
    batch, heads, count, width = query.shape
    (keys, buffer_keys), (values, buffer_values) = key, value
    query, keys, values = query.transpose(1, 2).contiguous(), keys.contiguous(), values.contiguous()
    tokens, buffered = keys.shape[-2], buffer_keys.shape[-2]
    if mask is not None:
        mask = mask.expand(batch, 1, count, tokens + buffered).contiguous()
    out = torch.empty_like(query)
    args = abi.AttentionArgs()
    args.query, args.out = query.data_ptr(), out.data_ptr()
    args.keys, args.values = keys.data_ptr(), values.data_ptr()
    args.buffer_keys, args.buffer_values = buffer_keys.data_ptr(), buffer_values.data_ptr()
    args.mask = None if mask is None else mask.data_ptr()
    args.batch, args.new_tokens, args.heads, args.head_dim = batch, count, heads, width
    args.kv_heads, args.tokens, args.buffered = keys.shape[1], tokens, buffered
    args.capacity = buffer_keys.stride(1) // width
    args.scale, args.dtype = scaling, fused_layers.dtype_code(query)
    if build.library().duibi_attention(ctypes.byref(args)):
        raise MemoryError("not enough memory for the attention of a layer")
    return out


class FusedAttention(nn.Module):  # type: ignore[misc]
    """An attention module whose cache layer is a `BufferedCacheLayer`, for a few new tokens."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Give a module what `forward` needs; whether it can be computed here: its query, key
        and value projections are one layer."""
        if (
            not isinstance(module.q_proj, fused_linear.LinearSlice)
            or module.head_dim > fused_layers.MAX_HEAD_DIM
        ):
            return False
        norms = [getattr(module, name, None) for name in ("q_norm", "k_norm")]
        weights = [None if norm is None else norm.weight.detach().float() for norm in norms]
        # In a list, which nn.Module does not register as a second submodule.
        module._qkv_proj, module._norm_weights = [module.q_proj.layer], weights
        module._norm_arguments = [
            None if weight is None else weight.data_ptr() for weight in weights
        ]
        module._norm_arguments.append(0.0 if norms[0] is None else norms[0].variance_epsilon)
        module._rope_kernel = build.library().duibi_qkv_rope
        return True

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: Any = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        **more: Any,
    ) -> Any:
        """See the module's own class."""
        batch, count, _ = hidden_states.shape
        layer = None if past_key_values is None else past_key_values.layers[self.layer_idx]
        width = self.head_dim
        cosine, sine = position_embeddings
        if (
            type(layer) is not BufferedCacheLayer
            or not layer.is_initialized
            or count > MAX_STEP_TOKENS
            or cosine.shape[-1] != width
            or not fused_layers.supports(hidden_states, width)
        ):
            return super().forward(
                hidden_states, position_embeddings, attention_mask, past_key_values, **more
            )
        qkv = self._qkv_proj[0](hidden_states)
        kv_heads = layer.keys.shape[1]
        heads = qkv.shape[-1] // width - 2 * kv_heads
        start, (keys, values) = layer.reserve(count)
        query = qkv.new_empty((batch, count, heads, width))
        cosine, sine = cosine.contiguous(), sine.contiguous()
        args = abi.RopeArgs()
        args.qkv, args.cosine, args.sine = qkv.data_ptr(), cosine.data_ptr(), sine.data_ptr()
        args.query, args.keys, args.values = query.data_ptr(), keys.data_ptr(), values.data_ptr()
        args.query_norm, args.key_norm, args.eps = self._norm_arguments
        args.batch, args.new_tokens, args.heads, args.head_dim = batch, count, heads, width
        args.kv_heads, args.buffered, args.capacity = kv_heads, start, BUFFER_TOKENS
        args.position_stride = count if cosine.shape[0] > 1 else 0
        args.dtype = fused_layers.dtype_code(qkv)
        self._rope_kernel(ctypes.byref(args))
        found = _native_attention(
            query.transpose(1, 2),
            (layer.keys, keys[..., : layer.buffered, :]),
            (layer.values, values[..., : layer.buffered, :]),
            attention_mask,
            self.scaling,
        )
        return self.o_proj(found.view(batch, count, heads * width)), None
