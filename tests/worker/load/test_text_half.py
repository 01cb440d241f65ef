"""Checkpoints that also see or hear: their text half is loaded, and says what transformers' own
class says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from benchmarks.support import tiny
from benchmarks.support.tiny import write_llama
from tests.support.random_wholes import random_whole
from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.native_types import has_native_class, text_model_class
from tui.models.describe import describe
from tui.models.inspect import inspect_folder
from tui.worker.load.checkpoint_folder import SKIPPED_NOTES, open_folder
from tui.worker.load.loader import open_checkpoint, open_weights
from tui.worker.load.prepare import prepare_model

NOTHING = lambda done, total: None  # noqa: E731
IDS = torch.tensor([[3, 17, 5, 80, 2, 44]])
TEXT = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
QWEN = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "tie_word_embeddings": True,
}
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "depth": 1}
HEADS = {"num_attention_heads": 2, "num_heads": 2, "patch_size": 2, "image_size": 4}
TURNED = {
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [1, 1, 0],
        "partial_rotary_factor": 0.5,
    },
}
EXPERTS = {
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
MROPE = {
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
}
DEEP = {"out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}
WHOLES: dict[str, dict[str, Any]] = {
    "qwen3_5": {"text_config": TEXT | QWEN, "vision_config": {"out_hidden_size": 32}},
    "gemma3": {"text_config": TEXT | {"layer_types": ["sliding_attention", "full_attention"]}},
    "glm4v": {"text_config": TEXT | TURNED, "vision_config": {"out_hidden_size": 32}},
    "glm4v_moe": {
        "text_config": TEXT | TURNED | EXPERTS,
        "vision_config": {"out_hidden_size": 32},
    },
    "mistral3": {"text_config": TEXT | {"model_type": "mistral"}},
    "qwen2_vl": {"text_config": TEXT | MROPE, "vision_config": {"embed_dim": 16}},
    "qwen2_5_vl": {"text_config": TEXT | MROPE, "vision_config": {"out_hidden_size": 32}},
    "qwen3_vl": {"text_config": TEXT | MROPE, "vision_config": DEEP},
    "qwen3_vl_moe": {
        "text_config": TEXT | MROPE | EXPERTS | {"num_experts": 4, "decoder_sparse_step": 1},
        "vision_config": DEEP,
    },
}
"""Tiny sizes of types that also see; where transformers has no class that writes text of the type
of the text half, a head of ours is over its text model."""


def write_whole(folder: Path, kind: str, extra: dict[str, torch.Tensor] | None = None) -> Any:
    """A checkpoint with a vision tower as transformers writes it; the model itself."""
    torch.manual_seed(0)
    sizes = dict(WHOLES[kind])
    sizes["vision_config"] = VISION | HEADS | sizes.get("vision_config", {})
    config = AutoConfig.for_model(kind, **sizes)
    model = AutoModelForImageTextToText.from_config(config).eval()
    for one in model.parameters():
        torch.nn.init.normal_(one, 0, 0.2)
    model.save_pretrained(folder)
    if extra:
        file = folder / "model.safetensors"
        save_file(load_file(file) | extra, file, metadata={"format": "pt"})
    return model


@pytest.mark.parametrize("kind", sorted(WHOLES))
def test_the_text_half_computes_what_the_whole_does(tmp_path: Path, kind: str) -> None:
    whole = write_whole(tmp_path, kind, {"mtp.fc.weight": torch.ones(32, 64)})
    folder, model = open_weights(tmp_path, "fp32")
    with torch.no_grad():
        expected, found = whole(input_ids=IDS).logits, model(input_ids=IDS).logits
    assert (found - expected).abs().max() < 1e-4
    assert expected.std() > 0.1
    assert set(folder.notes) == set(SKIPPED_NOTES.values())
    assert folder.parameters < sum(one.numel() for one in whole.parameters())
    assert not any("vis" in name for name, _ in model.named_parameters())
    shown = dict(describe(inspect_folder(tmp_path)))
    assert "no text model" in shown["left out"]


def test_the_experts_of_a_text_half_are_reduced(tmp_path: Path) -> None:
    sizes = {
        "hidden_size": 64,
        "head_dim": 16,
        "moe_intermediate_size": 32,
        "intermediate_size": 96,
    }
    whole = random_whole("qwen3_vl_moe", **sizes, **MROPE)
    with torch.no_grad():
        for name, one in whole.named_parameters():
            if name.endswith("mlp.gate.weight"):
                one.mul_(10)  # Routers decide at once: rounding changes no choice.
    whole.save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    with torch.no_grad():
        wanted = whole(input_ids=IDS).logits.log_softmax(-1)
    for dtype, most in (("bf16", 0.01), ("int8", 0.1), ("int4", 1.2)):
        for _ in range(2):  # made, then loaded as it was kept
            made, _, remarks = prepare_model(open_checkpoint(tmp_path), dtype, NOTHING)
            with torch.inference_mode():
                found = made(input_ids=IDS).logits.float().log_softmax(-1)
            assert (wanted.exp() * (wanted - found)).sum(-1).mean() < most, dtype
            assert not any("reach" in remark for remark in remarks)


@pytest.mark.parametrize("is_tied", [True, False])
def test_the_whole_says_whether_its_head_is_the_embeddings(tmp_path: Path, is_tied: bool) -> None:
    WHOLES["qwen3_vl"]["tie_word_embeddings"] = is_tied
    try:
        whole = write_whole(tmp_path, "qwen3_vl")
    finally:
        del WHOLES["qwen3_vl"]["tie_word_embeddings"]
    _, model = open_weights(tmp_path, "fp32")
    with torch.no_grad():
        assert (whole(input_ids=IDS).logits - model(input_ids=IDS).logits).abs().max() < 1e-4
    same = model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert same is is_tied


def test_what_is_said_of_the_text_beside_the_tower_is_its_text_half(tmp_path: Path) -> None:
    """As Qwen2-VL was first published: no text_config, and names without a prefix."""
    whole = write_whole(tmp_path, "qwen2_vl")
    file = tmp_path / "model.safetensors"
    short = {name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): t
             for name, t in load_file(file).items()}  # fmt: skip
    save_file(short, file, metadata={"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    text = config.pop("text_config")
    text["rope_scaling"] = {"type": "mrope", "mrope_section": [2, 1, 1]}
    text.pop("rope_parameters")
    (tmp_path / "config.json").write_text(json.dumps(text | config | {"rope_theta": 10000.0}))
    _, model = open_weights(tmp_path, "fp32")
    with torch.no_grad():
        assert (whole(input_ids=IDS).logits - model(input_ids=IDS).logits).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("granite_docling", {"logits_scaling": 8.0, "embedding_multiplier": 12.0}),
        ("muse_glimmer", {"output_multiplier": 0.5, "final_logit_softcapping": 0.1}),
    ],
)
def test_a_head_scales_and_caps_its_logits_as_the_whole_does(
    kind: str, numbers: dict[str, float], tmp_path: Path
) -> None:
    whole = random_whole(kind, **numbers)
    whole.save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    _, ours = open_weights(tmp_path, "fp32")
    with torch.no_grad():
        wanted, found = whole(input_ids=IDS).logits, ours(input_ids=IDS).logits
        plain = ours.lm_head(ours.model(input_ids=IDS).last_hidden_state)
    assert (found - wanted).abs().max() < 1e-4
    assert (plain - wanted).abs().max() > 0.05


@pytest.mark.parametrize("kind", ["qwen2_5_omni", "qwen3_omni_moe"])
def test_what_thinks_of_one_that_also_speaks_is_its_text_half(kind: str, tmp_path: Path) -> None:
    whole = random_whole(f"{kind}_thinker", **MROPE)
    whole.save_pretrained(tmp_path)
    tiny.write_tokenizer(tmp_path)
    file = tmp_path / "model.safetensors"
    made = {f"thinker.{name}": tensor for name, tensor in load_file(file).items()}
    save_file(made | {"talker.model.norm.weight": torch.ones(8)}, file, metadata={"format": "pt"})
    thinker = json.loads((tmp_path / "config.json").read_text())
    said = {"model_type": kind, "thinker_config": thinker, "enable_audio_output": True}
    (tmp_path / "config.json").write_text(json.dumps(said))
    folder, ours = open_weights(tmp_path, "fp32")
    with torch.no_grad():
        wanted, found = whole(input_ids=IDS).logits, ours(input_ids=IDS).logits
    assert (found - wanted).abs().max() < 1e-4 < wanted.std()
    assert folder.notes == (SKIPPED_NOTES["tower"],)
    assert not inspect_folder(tmp_path).problems


def test_sections_of_positions_that_do_not_add_up_are_one_sentence(tmp_path: Path) -> None:
    write_whole(tmp_path, "qwen2_vl")
    config = json.loads((tmp_path / "config.json").read_text())
    config["text_config"]["rope_parameters"]["mrope_section"] = [2, 1, 3]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config.json: mrope_section cannot be \[2, 1, 3\]"):
        open_weights(tmp_path, "fp32")


@pytest.mark.parametrize("kind", ["bark", "csm", "vits", "clip_text_model"])
def test_a_type_that_writes_no_text_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(CheckpointError, match=f"no class of the type {kind} that writes text"):
        read_architecture({"model_type": kind})


@pytest.mark.parametrize(
    ("whole", "text"),
    [("gemma3n", "gemma3n_text"), ("chameleon", "chameleon"), ("clip", "clip")],
)
def test_no_head_is_put_where_more_is_done_to_the_logits(whole: str, text: str) -> None:
    assert text_model_class(whole, text) == ""


def test_a_text_half_without_a_size_has_its_class_s(tmp_path: Path) -> None:
    published = {
        "model_type": "gemma3",
        "text_config": {"hidden_size": 2560, "num_hidden_layers": 34, "model_type": "gemma3_text"},
        "vision_config": {"hidden_size": 1152},
    }
    known = read_architecture(published)
    assert (known.vocab, known.heads, known.head_dim, known.is_native) == (262_208, 8, 256, True)


def test_layers_that_predict_further_tokens_are_left_out(tmp_path: Path) -> None:
    write_llama(tmp_path, num_hidden_layers=3)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    folder, model = open_weights(tmp_path, "fp32")
    assert len(model.model.layers) == 2
    assert folder.notes == (SKIPPED_NOTES["prediction"],)


@pytest.mark.parametrize("kind", ["gemma3_text", "qwen3_5_text", "llama4_text", "openai-gpt"])
def test_every_type_with_a_text_class_is_known(kind: str) -> None:
    assert has_native_class(kind)


@pytest.mark.parametrize("kind", ["siglip", "no_such_type", "deprecated", ""])
def test_what_writes_no_text_is_not(kind: str) -> None:
    assert not has_native_class(kind)


def test_the_tables_are_those_that_transformers_has() -> None:
    from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    written = set(CONFIG_MAPPING_NAMES) & set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert {kind for kind in written if not has_native_class(kind)} <= {"gpt-sw3"}


def test_a_tower_without_a_text_half_is_refused(tmp_path: Path) -> None:
    config = {"model_type": "clip", "text_config": TEXT, "vision_config": VISION}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="cannot run alone"):
        open_folder(tmp_path)


def test_a_head_that_is_absent_is_the_embeddings(tmp_path: Path) -> None:
    write_llama(tmp_path)
    file = tmp_path / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if name != "lm_head.weight"}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: lm_head"):
        open_weights(tmp_path, "fp32")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["tie_word_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = open_weights(tmp_path, "fp32")[1]
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
