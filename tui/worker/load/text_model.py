"""The text half of a type that also sees or hears, where transformers has a class of the whole that
writes text and none of the half: its text model under a head of its own."""

from dataclasses import astuple
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.core_model_loading import WeightConverter
from transformers.modeling_outputs import CausalLMOutputWithPast

from tui.checkpoints.native_types import Head, head_of


class _CausalTextModel:
    """What a class made by `causal_class` adds to the class that its text model derives from.
    Positions in a text are the same for each part of a head, so the text model counts them."""

    text_class: Any
    head: Head

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.model = self.text_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[attr-defined]

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        logits_to_keep: int = 0,
        **more: Any,
    ) -> Any:
        """Logits (rows, tokens, vocabulary) of the last ``logits_to_keep`` tokens, 0: of all."""
        out = self.model(input_ids=input_ids, past_key_values=past_key_values, **more)
        logits = self.lm_head(out.last_hidden_state[:, -logits_to_keep:])
        factor, divisor, cap = map(self._number, astuple(self.head))
        if factor is not None:
            logits = logits * factor
        if divisor is not None:
            logits = logits / divisor
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return CausalLMOutputWithPast(logits=logits, past_key_values=out.past_key_values)

    def _number(self, name: str) -> float | None:
        found: float | None = getattr(self.config, name) if name else None  # type: ignore[attr-defined]
        return found


@cache
def causal_class(name: str, whole_type: str) -> Any:
    """A class of transformers' kind over the text model ``MODULE.CLASS``; ``whole_type`` is the
    model type of checkpoints that it is the text half of."""
    module, _, text_name = name.rpartition(".")
    text: Any = getattr(import_module(f"transformers.models.{module}.modeling_{module}"), text_name)
    base = next(one for one in text.__bases__ if issubclass(one, PreTrainedModel))
    made = type(
        f"{text_name.removesuffix('Model')}ForCausalLM",
        (_CausalTextModel, base),
        {
            "text_class": text,
            "head": head_of(whole_type) or Head(),
            "config_class": text.config_class,
            "base_model_prefix": "model",
            "_tied_weights_keys": {"lm_head.weight": "model.embed_tokens.weight"},
        },
    )
    _take_conversions(made.__name__, text, whole_type)
    return made


def _take_conversions(name: str, text: Any, whole_type: str) -> None:
    """Have the tensors of a text half put together as those of the whole are. What is only renamed
    there has its place in the whole, and is renamed by the rules of the family."""
    own = (text.__name__, text.config_class.model_type)
    if any(get_checkpoint_conversion_mapping(one) for one in own):
        return
    whole = get_checkpoint_conversion_mapping(whole_type) or ()
    if converters := [one for one in whole if isinstance(one, WeightConverter)]:
        register_checkpoint_conversion_mapping(name, converters, overwrite=True)
