"""Models whose classes take what went before under another name than ``past_key_values``.

A class that is given a name it does not know passes over it: each token would be computed as if
it were the first. Some return a state that they take back (Mamba, RWKV, xLSTM); those that keep
nothing (GPT-1) are given the whole text each time.
"""

import inspect
from types import SimpleNamespace
from typing import Any

import torch

_STATES = ("cache_params", "state")
"""What classes call the state that they return and take."""
RECOMPUTED_REMARK = (
    "its class keeps nothing of what it has read: the whole text is computed anew for each token, "
    "one answer at a time"
)


class OtherPast:
    """In place of keys and values: the state that a class returned, or all tokens (1, count)."""

    def __init__(self) -> None:
        self.held: Any = None
        self.tokens = 0
        self.layers = (self,)

    def get_seq_length(self) -> int:
        """How many tokens went before."""
        return self.tokens


def has_other_past(model: Any) -> bool:
    """Whether `adapt` changed how a model is called: its caches are `OtherPast`."""
    return getattr(model, "_other_past", False) is True


def adapt(model: Any, slow_remark: str) -> str:
    """Have a model of such a class take an `OtherPast` as ``past_key_values``, and what is said of
    it: ``slow_remark`` of one that takes a state; empty for any other model, which stays as it
    is."""
    known = inspect.signature(model.forward).parameters
    if "past_key_values" in known or "input_ids" not in known:
        return ""
    state = next((name for name in _STATES if name in known), "")
    plain, keeps = model.forward, "use_cache" in known

    def forward(
        input_ids: torch.Tensor,
        past_key_values: OtherPast | None = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        **more: Any,
    ) -> Any:
        past = past_key_values or OtherPast()
        if state:
            out = plain(input_ids=input_ids, use_cache=True, **{state: past.held}, **more)
            past.held, past.tokens = getattr(out, state), past.tokens + input_ids.shape[1]
        else:
            if past.held is not None:
                input_ids = torch.cat((past.held, input_ids), dim=1)
            past.held, past.tokens = input_ids, input_ids.shape[1]
            out = plain(input_ids=input_ids, **({"use_cache": False} if keeps else {}), **more)
        return SimpleNamespace(logits=out.logits[:, -logits_to_keep:])

    model.forward = forward
    model._other_past = True
    return slow_remark if state else RECOMPUTED_REMARK
