"""Every type that also sees or hears of which a tiny model can be made: its text half says what the
whole says that is fed with text, or it is refused in one line."""

from pathlib import Path

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

from benchmarks.support import tiny
from tests.support.random_wholes import random_whole, save_small
from tui.checkpoints.errors import CheckpointError
from tui.worker.load.loader import open_weights

IDS = torch.tensor([[3, 17, 5, 80, 2, 44]])


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES))
def test_a_text_half_says_what_the_whole_says_or_is_refused(kind: str, tmp_path: Path) -> None:
    try:
        whole = random_whole(kind)
        with torch.no_grad():
            wanted = whole(input_ids=IDS).logits
        save_small(whole, tmp_path)
    except Exception:
        pytest.skip("no tiny one of this type can be made")
    tiny.write_tokenizer(tmp_path)
    try:
        _, ours = open_weights(tmp_path, "fp32")
    except CheckpointError as error:
        assert error.message and "\n" not in error.message
        return
    if kind in ("aya_vision", "cohere2_vision"):
        # The class of the whole passes over what the class of the text half multiplies by.
        wanted = wanted * ours.config.logit_scale
    with torch.no_grad():
        assert (ours(input_ids=IDS).logits - wanted).abs().max() < 1e-4
