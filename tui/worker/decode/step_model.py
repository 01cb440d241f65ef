"""A decode step through all decoder layers of a model, without what transformers does around them:
masks that our attention does not need, outputs that nobody asked for. It computes what the class
computes, bit for bit."""

from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from tui.worker.decode.buffered_cache import MAX_STEP_TOKENS, BufferedCacheLayer
from tui.worker.decode.decoder_layer import FusedDecoderLayer


class StepModel(nn.Module):  # type: ignore[misc]
    """A text model of which every layer is a `FusedDecoderLayer`."""

    @staticmethod
    def prepare(module: Any) -> bool:
        """Whether its steps can be computed here."""
        return all(isinstance(layer, FusedDecoderLayer) for layer in module.layers)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        **more: Any,
    ) -> Any:
        """See the module's own class."""
        layer = past_key_values.layers[0] if past_key_values is not None else None
        if (
            type(layer) is not BufferedCacheLayer
            or not layer.is_initialized
            or input_ids is None
            or input_ids.shape[1] > MAX_STEP_TOKENS
            or not (attention_mask is None or attention_mask.dim() == 4)
            or any(value is not None and value is not False for value in more.values())
        ):
            return super().forward(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **more,
            )
        hidden = self.embed_tokens(input_ids)
        if position_ids is None:
            held = past_key_values.get_seq_length()
            position_ids = torch.arange(held, held + input_ids.shape[1])[None]
        angles = self.rotary_emb(hidden, position_ids=position_ids)
        # Without a mask each token sees all before it and itself (`attention.attention_forward`).
        for each in self.layers:
            hidden = each(
                hidden,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=use_cache,
                position_embeddings=angles,
            )
        last = self.norm(hidden)
        return MoeModelOutputWithPast(last_hidden_state=last, past_key_values=past_key_values)


# A Qwen3-VL counts positions of three kinds.
_NAMES = ("Llama", "Qwen2", "Qwen3", "Mixtral", "Qwen2Moe", "Qwen3Moe")
CLASSES = dict.fromkeys((f"{name}Model" for name in _NAMES), StepModel)
"""Modules that are computed here, by the names of their classes."""
