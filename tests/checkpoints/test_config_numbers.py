"""Numbers of a config.json that nothing can be computed with: one sentence, before any is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support import tiny
from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.errors import CheckpointError
from tui.cli import run_command_line as run
from tui.text import translation

SIZES = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 320,
}
GROUPED = {"n_routed_experts": 8, "num_experts_per_tok": 2, "topk_group": 1}
NAN, INFINITE = float("nan"), float("inf")


def rope(**said: Any) -> dict[str, Any]:
    return {"rope_scaling": {"rope_type": "linear", "factor": 2.0} | said}


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (rope(factor=0), "factor cannot be 0"),
        (rope(factor=-2.0), "factor cannot be -2.0"),
        (rope(factor=NAN), "factor cannot be nan"),
        (rope(factor=INFINITE), "factor cannot be inf"),
        (rope(factor="2"), "factor cannot be 2"),
        (rope(rope_type="longrope", short_factor=[1.0, -1.0]), "short_factor cannot be -1.0"),
        (rope(rope_type="llama3", high_freq_factor=0), "high_freq_factor cannot be 0"),
        (rope(original_max_position_embeddings=0), "original_max_position_embeddings cannot be 0"),
        ({"rope_parameters": {"full_attention": {"rope_theta": -1}}}, "rope_theta cannot be -1"),
        ({"rope_theta": 0}, "rope_theta cannot be 0"),
        ({"rms_norm_eps": -1e-6}, "rms_norm_eps cannot be -1e-06"),
        ({"rms_norm_eps": NAN}, "rms_norm_eps cannot be nan"),
        ({"rms_norm_eps": 1000}, "rms_norm_eps cannot be 1000"),
        ({"head_dim": 0}, "head_dim cannot be 0"),
        ({"head_dim": 15, "rope_theta": 1e4}, "head_dim cannot be 15"),
        ({"head_dim": 16.5}, "head_dim cannot be 16.5"),
        ({"sliding_window": 0}, "sliding_window cannot be 0"),
        ({"sliding_window": -4}, "sliding_window cannot be -4"),
        ({"partial_rotary_factor": 1.5}, "partial_rotary_factor cannot be 1.5"),
        ({"logits_scaling": 0}, "logits_scaling cannot be 0"),
        ({"num_key_value_heads": 3}, "4 attention heads cannot share 3 key-value heads"),
        ({"num_experts": 4, "num_experts_per_tok": 8}, "8 of 4 experts cannot be chosen"),
        ({"n_routed_experts": 4, "num_experts_per_tok": 0}, "0 of 4 experts cannot be chosen"),
        ({"num_local_experts": 4, "num_experts_per_tok": -1}, "-1 of 4 experts cannot be"),
        ({"num_experts": 10**9, "num_experts_per_tok": 2}, "1000000000 experts cannot be"),
        (GROUPED | {"n_group": 3}, "1 of 3 groups of 8 experts cannot be chosen"),
        (GROUPED | {"n_group": 2, "topk_group": 4}, "4 of 2 groups of 8 experts cannot be chosen"),
        (GROUPED | {"n_group": 0}, "n_group cannot be 0"),
    ],
)
def test_what_cannot_be_is_one_sentence(said: dict[str, Any], named: str) -> None:
    with pytest.raises(CheckpointError, match=f"config.json: {named}") as caught:
        read_architecture(SIZES | said)
    assert caught.value.cause == "damaged"
    translation.speak("zh")
    try:
        assert "config.json：" in translation.tr(caught.value.message)
    finally:
        translation.speak("en")


def test_a_text_half_is_looked_at_too() -> None:
    text = SIZES | {"model_type": "gemma3_text", "rope_theta": NAN}
    whole = {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 8}}
    with pytest.raises(CheckpointError, match="rope_theta cannot be nan"):
        read_architecture(whole)


@pytest.mark.parametrize(
    "said",
    [
        {"sliding_window": None, "head_dim": None, "rope_scaling": None},
        # As Qwen2 is published: a window that is not used.
        {"use_sliding_window": False, "sliding_window": 0},
        # As Granite 4 is published where it has no experts.
        {"num_local_experts": 0, "num_experts_per_tok": 0},
        # As DeepSeek-V3 is published.
        {"kv_lora_rank": 512, "num_attention_heads": 4, "num_key_value_heads": 3},
        {"rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 0}},
        {"rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]}},
        {"rms_norm_eps": 0, "final_logit_softcapping": 30.0},
    ],
)
def test_what_is_published_can_be(said: dict[str, Any]) -> None:
    assert read_architecture(SIZES | said).layers == 2


def test_a_run_ends_in_the_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny.write_llama(tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "linear", "rope_theta": 1e4, "factor": -2.0}
    (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "asked.txt").write_text("hello\n")
    assert run(["run", str(folder), "--questions", str(tmp_path / "asked.txt")]) == 2
    said = capsys.readouterr().err
    assert "config.json: factor cannot be -2.0" in said and "Traceback" not in said
