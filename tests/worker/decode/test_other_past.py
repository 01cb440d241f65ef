"""Classes that know no ``past_key_values`` answer as if they had read the whole text."""

from typing import Any

import pytest
import torch

from tests.support.random_models import random_model
from tui.worker.decode.attention import new_kv_cache
from tui.worker.decode.kv_cache import can_crop
from tui.worker.decode.other_past import RECOMPUTED_REMARK, adapt, has_other_past

GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "mamba": ({"num_hidden_layers": 2}, "slow"),
    "rwkv": ({"num_hidden_layers": 2, "attention_hidden_size": 64}, "slow"),
    "openai-gpt": (GPT, RECOMPUTED_REMARK),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_token_is_computed_behind_all_before(kind: str) -> None:
    changes, remark = KINDS[kind]
    model = random_model(kind, **changes)
    text = torch.tensor([[3, 17, 5, 80, 2, 44, 9, 31]])
    with torch.inference_mode():
        wanted = model(input_ids=text).logits
        assert adapt(model, "slow") == remark
        cache, found = new_kv_cache(model), []
        for given in text.split((5, 1, 1, 1), dim=1):
            out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
            found.append(out.logits)
        assert torch.allclose(torch.cat(found, dim=1), wanted[:, 4:], atol=1e-4)
        assert cache.get_seq_length() == 8 and not can_crop(cache)
        assert torch.allclose(model(input_ids=text).logits, wanted, atol=1e-5)


def test_a_class_that_takes_keys_and_values_stays_as_it_is() -> None:
    model = random_model("llama", num_hidden_layers=1)
    assert adapt(model, "slow") == ""
    assert not has_other_past(model)
