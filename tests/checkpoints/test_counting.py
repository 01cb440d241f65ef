"""Parameters are counted as the world counts them: tied weights once."""

from pathlib import Path

import pytest

from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.weight_headers import TensorHeader, count_parameters

CONFIG = {
    "model_type": "qwen2",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}


def tensors(*named: tuple[str, tuple[int, ...]]) -> list[TensorHeader]:
    return [TensorHeader(name, "BF16", shape, Path("x")) for name, shape in named]


STORED = tensors(
    ("model.embed_tokens.weight", (100, 8)),
    ("model.layers.0.mlp.up_proj.weight", (8, 32)),
    ("model.rotary.inv_freq", (4,)),
    ("lm_head.weight", (100, 8)),
)


@pytest.mark.parametrize(("is_tied", "count"), [(True, 800 + 256), (False, 1600 + 256)])
def test_a_tied_head_counts_once_though_it_is_stored(is_tied: bool, count: int) -> None:
    known = read_architecture(CONFIG | {"tie_word_embeddings": is_tied})
    assert count_parameters(STORED, known.is_tied) == count
    # Without its embeddings a head is no second copy.
    assert count_parameters(STORED[1:], is_tied) == 256 + 800


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "qwen2"),
        ({"model_type": "llama"}, "llama"),
        ({"model_type": "baichuan", "model_max_length": 64}, "baichuan2"),
    ],
)
def test_the_architecture_has_the_name_the_world_knows(
    changed: dict[str, object], name: str
) -> None:
    known = read_architecture(CONFIG | {"intermediate_size": 32} | changed)
    assert known.name == name
