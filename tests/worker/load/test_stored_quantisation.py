"""Checkpoints that are published reduced: every weight is what the layout says, in every format
they are loaded in, and what is not read is refused by its name."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.support import tiny
from tests.support.kernels import needs_kernels
from tests.support.mixtures import write_mixture
from tests.support.stored_quantisation import LAYOUTS, label_of, reduce_experts, reduce_folder
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.stored_quantisation import StoredQuantisation, has_levels, read_quantisation
from tui.checkpoints.weight_headers import TensorHeader, commonest_dtype
from tui.models.describe import describe, quantisation_of
from tui.models.inspect import inspect_folder
from tui.text import translation
from tui.worker.kernels import build
from tui.worker.load import prepare
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.loader import open_checkpoint
from tui.worker.quant import native_linear

PROMPT = [5, 17, 200, 31, 8, 99] * 4
QUICK = ("gptq", "gptq-act-order", "awq", "w8a8", "fp8-blocks")
EVERY = [
    pytest.param(layout, marks=() if layout in QUICK else pytest.mark.slow) for layout in LAYOUTS
]
_UNUSED_SCALES = 4 * 7 * 4
"""Bytes of the scales of activations: four layers of seven matrices."""
NOTHING = lambda done, total: None  # noqa: E731


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("whole"), attention_bias=True, dtype="float16")


@pytest.fixture(scope="module")
def reduced(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``reduced(layout)``: the folder, and what its weights are."""
    root, made = tmp_path_factory.mktemp("reduced"), {}

    def find(layout: str) -> tuple[Path, dict[str, torch.Tensor]]:
        if layout not in made:
            made[layout] = root / layout, reduce_folder(whole, root / layout, layout)
        found: tuple[Path, dict[str, torch.Tensor]] = made[layout]
        return found

    return find


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(torch.tensor([PROMPT])).logits[0].float()
    return found


def divergence(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The mean Kullback-Leibler divergence of the next tokens."""
    p, q = wanted.log_softmax(-1), found.log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_weight_is_what_its_layout_says(reduced: Any, layout: str) -> None:
    folder, wanted = reduced(layout)
    for dtype, most in (("fp32", 1e-6), ("bf16", 2.0**-8)):
        model = open_checkpoint(folder).build(dtype, NOTHING)
        for name, weight in wanted.items():
            found = model.get_parameter(name).detach().float()
            assert float((found - weight).norm()) <= most * float(weight.norm()), name


@pytest.mark.parametrize("layout", EVERY)
def test_a_model_answers_as_its_weights_say(reduced: Any, layout: str) -> None:
    folder, _ = reduced(layout)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.stored == label_of(layout)
    expected = logits(checkpoint.build("fp32", NOTHING))
    # int4 keeps the levels of 4 bits where our kernels are; what it has to round anew it rounds
    # as it would the whole model, which then is 0.27 off.
    keeps = has_levels(checkpoint.stored) and not build.unavailable_reason()
    for dtype, most in (("bf16", 0.001), ("int8", 0.02), ("int4", 0.01 if keeps else 0.54)):
        made, _, _ = prepare.prepare_model(checkpoint, dtype, NOTHING)
        assert divergence(logits(made), expected) < most, dtype


@needs_kernels
@pytest.mark.parametrize("layout", ["gptq", "awq", "w4a16", "w4a16-asymmetric"])
def test_levels_of_four_bits_stay_what_they_are(reduced: Any, layout: str) -> None:
    folder, wanted = reduced(layout)
    made, _, _ = prepare.prepare_model(open_checkpoint(folder), "int4", NOTHING)
    layer = made.model.layers[1].mlp.down_proj
    assert type(layer) is native_linear.NativeInt4Linear
    weight = wanted["model.layers.1.mlp.down_proj.weight"]
    found = layer(torch.eye(weight.shape[1]).bfloat16()).float().t()
    # Scales are rounded to five bits of fraction, products to bfloat16.
    assert (found - weight).abs().max() <= weight.abs().max() / 40
    assert float((found - weight).norm() / weight.norm()) < 0.01


def test_a_checkpoint_says_what_it_holds(reduced: Any, whole: Path) -> None:
    for layout in LAYOUTS:
        seen = inspect_folder(reduced(layout)[0])
        assert not seen.problems
        assert seen.dtype == label_of(layout)
        assert seen.parameters == inspect_folder(whole).parameters
        assert (
            seen.checkpoint_bytes
            == sum(tensor.nbytes for tensor in load_file(seen.path / "model.safetensors").values())
            - (layout == "fp8-whole") * _UNUSED_SCALES
        )


@pytest.mark.parametrize(
    ("layout", "quantised", "load"),
    [
        ("gptq", "gptq, 4 bits, a scale for each 32 inputs", "int4, which holds the levels"),
        ("awq", "awq, 4 bits, a scale for each 32 inputs", "int4, which holds the levels"),
        ("w8a8", "compressed-tensors, 8 bits, a scale for each row", "int8, which is made of"),
        ("fp8-blocks", "fp8, 8 bits, a scale for each block of 48 x 48", "int8, which is made of"),
    ],
)
def test_it_is_said_how_weights_were_reduced_and_what_is_done(
    reduced: Any, layout: str, quantised: str, load: str
) -> None:
    shown = dict(describe(inspect_folder(reduced(layout)[0])))
    assert shown["quantised"] == quantised
    assert shown["load"].startswith(f"computed in {load}")
    translation.speak("zh")
    try:
        for value in (shown["quantised"], shown["load"]):
            assert "scale" not in translation.tr(value) and "computed" not in translation.tr(value)
    finally:
        translation.speak("en")


@pytest.mark.parametrize("size", [0, -2, "128", 2**40])
def test_a_group_that_cannot_be_is_one_sentence(size: Any) -> None:
    said = {"quant_method": "gptq", "bits": 4, "group_size": size}
    with pytest.raises(CheckpointError, match=r"config\.json: group_size cannot be"):
        read_quantisation({"quantization_config": said})


def test_whole_weights_that_are_said_to_be_reduced_are_told_as_whole(whole: Path) -> None:
    seen = replace(inspect_folder(whole), quantisation=StoredQuantisation("gptq", 4))
    assert quantisation_of(seen) == "config.json says gptq-int4, the files hold whole weights"


def test_the_first_qwen_is_read_from_its_int4(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "data" / "qwen-tiny-a" / "checkpoint"
    wanted = reduce_folder(source, tmp_path / "int4", "gptq-symmetric")
    stored = load_file(tmp_path / "int4" / "model.safetensors")
    # As AutoGPTQ wrote it: a bias of zeros for every layer.
    stored |= {
        name.replace("qweight", "bias"): torch.zeros(words.shape[1], dtype=torch.float16)
        for name, words in stored.items()
        if name.endswith("qweight") and name.replace("qweight", "bias") not in stored
    }
    save_file(stored, tmp_path / "int4" / "model.safetensors")
    from tui.worker.load.loader import open_weights

    _, model = open_weights(tmp_path / "int4", "fp32")
    block = "transformer.h.0."
    layer = model.model.layers[0]
    q, _, v = wanted[block + "attn.c_attn.weight"].chunk(3)
    for found, one in (
        (layer.self_attn.q_proj, q),
        (layer.self_attn.v_proj, v),
        (layer.mlp.up_proj, wanted[block + "mlp.w1.weight"]),
        (layer.mlp.down_proj, wanted[block + "mlp.c_proj.weight"]),
    ):
        assert torch.allclose(found.weight, one, atol=1e-6)


REFUSED = [
    ({"load_in_4bit": True}, "bitsandbytes"),
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes"),
    ({"quant_method": "exl2", "bits": 4.0}, "exl2"),
    ({"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}, "bitsandbytes"),
    *(
        ({"quant_method": name}, name)
        for name in (
            *("hqq", "aqlm", "torchao", "quip", "vptq", "spqr", "eetq", "quanto", "bitnet", "exl3"),
            *("higgs", "fp_quant", "quark", "sinq"),
        )
    ),
    # As MLX and QuIP# are published: without a name.
    ({"group_size": 64, "bits": 4, "mode": "affine"}, "MLX"),
    ({"codebook": "E8P12", "lora_rank": 0}, "QuIP#"),
    ({"quant_method": "gptq", "bits": 3}, "gptq with 3 bits"),
    ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, "marlin"),
    (
        {"quant_method": "gptq", "bits": 4, "dynamic": {"+:.*down_proj.*": {"bits": 8}}},
        "gptq with 4 and 8 bits",
    ),
    (
        {
            "quant_method": "auto-round",
            "bits": 4,
            "packing_format": "auto_round:auto_gptq",
            "extra_config": {"lm_head": {"bits": 16}, "model.layers.1.mlp.up_proj": {"bits": 2}},
        },
        "gptq with 4 and 2 bits",
    ),
    ({"quant_method": "awq", "bits": 4, "version": "gemv"}, "gemv"),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "NVFP4"),
    (
        {
            "quant_method": "compressed-tensors",
            "format": "nvfp4-pack-quantized",
            "config_groups": {"a": {"weights": {"num_bits": 4, "type": "float"}}},
        },
        "nvfp4-pack-quantized",
    ),
]


@pytest.mark.parametrize(("said", "name"), REFUSED)
def test_what_is_not_read_is_refused_by_its_name(said: dict[str, Any], name: str) -> None:
    with pytest.raises(CheckpointError, match=name) as raised:
        read_quantisation({"quantization_config": said})
    assert raised.value.cause == "unsupported"


def test_layers_that_a_quantiser_left_whole_are_no_reason_to_refuse() -> None:
    rules = {"-:.*lm_head.*": {}, "+:.*up_proj.*": {"group_size": 64}, ".*q_proj.*": {"bits": 16}}
    said = {"quant_method": "gptq", "bits": 4, "dynamic": rules}
    found = read_quantisation({"quantization_config": said})
    assert found is not None and found.bits == 4


@pytest.mark.parametrize(
    ("key", "said", "name"),
    [
        ("quantization", {"group_size": 64, "bits": 4}, "MLX"),
        ("quip_params", {"codebook": "E8P12"}, "QuIP#"),
    ],
)
def test_what_is_said_under_another_key_is_refused_too(
    key: str, said: dict[str, Any], name: str
) -> None:
    with pytest.raises(CheckpointError, match=f"quantised by {name}, which is not read"):
        read_quantisation({key: said})


@pytest.mark.parametrize(
    ("layout", "file", "said"),
    [
        ("gptq", "quantize_config.json", {"bits": 4, "group_size": 32, "desc_act": False}),
        ("awq", "quant_config.json", {"w_bit": 4, "q_group_size": 32, "version": "GEMM"}),
        ("fp8-whole", "hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}),
    ],
)
def test_what_a_quantiser_says_in_a_file_of_its_own_is_read(
    reduced: Any, tmp_path: Path, layout: str, file: str, said: dict[str, Any]
) -> None:
    source, wanted = reduced(layout)
    folder = shutil.copytree(source, tmp_path / layout)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / file).write_text(json.dumps(said))
    assert inspect_folder(folder).dtype == label_of(layout)
    model = open_checkpoint(folder).build("fp32", NOTHING)
    name = "model.layers.1.mlp.down_proj.weight"
    assert torch.allclose(model.get_parameter(name), wanted[name], atol=1e-6)
    if layout == "fp8-whole":
        (folder / file).write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))
        assert "NVFP4" in inspect_folder(folder).problems[0]


@pytest.mark.parametrize(
    ("layout", "lost"),
    [
        ("gptq", "scales"),
        ("gptq", "qweight"),
        ("fp8-blocks", "weight_scale_inv"),
        ("fp8-whole", "weight_scale"),
    ],
)
def test_a_weight_without_all_of_its_parts_is_damaged(
    reduced: Any, tmp_path: Path, layout: str, lost: str
) -> None:
    folder = shutil.copytree(reduced(layout)[0], tmp_path / "torn")
    stored = load_file(folder / "model.safetensors")
    del stored[f"model.layers.2.mlp.up_proj.{lost}"]
    save_file(stored, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.up_proj\.weight has no"):
        open_folder(folder)
    assert "has no" in inspect_folder(folder).problems[0]


@pytest.mark.parametrize(
    ("layout", "part", "cut"),
    [
        ("gptq", "scales", lambda x: x[:, 1:]),
        ("fp8-blocks", "weight_scale_inv", lambda x: x[:, 1:]),
        ("gptq", "qzeros", lambda x: x[:1]),
        ("awq", "qzeros", lambda x: x[:1]),
        ("w4a16-asymmetric", "weight_zero_point", lambda x: x[:, :1]),
        ("w4a16", "weight_shape", lambda x: x + torch.tensor([8, 0])),
        ("gptq-act-order", "g_idx", lambda x: torch.where(x == 0, -5, x)),
        ("gptq-act-order", "g_idx", lambda x: x + 1),
    ],
)
def test_parts_that_do_not_go_together_are_damaged(
    reduced: Any, tmp_path: Path, layout: str, part: str, cut: Callable[[Any], Any]
) -> None:
    folder = shutil.copytree(reduced(layout)[0], tmp_path / layout)
    stored = load_file(folder / "model.safetensors")
    name = f"model.layers.2.mlp.up_proj.{part}"
    stored[name] = cut(stored[name]).contiguous()
    save_file(stored, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.up_proj"):
        open_checkpoint(folder).build("bf16", NOTHING)


def test_scales_that_are_no_numbers_are_damaged(reduced: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(reduced("awq")[0], tmp_path / "nan")
    stored = load_file(folder / "model.safetensors")
    stored["model.layers.1.mlp.up_proj.scales"][0, 0] = float("nan")
    save_file(stored, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not numbers"):
        prepare.prepare_model(open_checkpoint(folder), "int4", NOTHING)


def test_a_config_says_more_than_the_folder_needs(reduced: Any) -> None:
    """What transformers would make of it is not asked for."""
    config = json.loads((reduced("gptq")[0] / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "gptq"
    checkpoint = open_checkpoint(reduced("gptq")[0])
    assert checkpoint.model_spec is not None
    assert not hasattr(checkpoint.model_spec().config, "quantization_config")


def test_experts_in_mxfp4_are_what_their_layout_says(tmp_path: Path) -> None:
    source = write_mixture(tmp_path / "whole", "gpt_oss")
    wanted = reduce_experts(source, tmp_path / "mxfp4")
    checkpoint = open_checkpoint(tmp_path / "mxfp4")
    assert checkpoint.stored == "mxfp4"
    assert checkpoint.parameters == open_checkpoint(source).parameters
    model = checkpoint.build("fp32", NOTHING)
    for name, weight in wanted.items():
        assert torch.equal(model.get_parameter(name), weight), name
    expected = logits(model)
    for dtype, most in (("bf16", 0.001), ("int8", 0.25)):
        made, _, _ = prepare.prepare_model(checkpoint, dtype, NOTHING)
        assert divergence(logits(made), expected) < most, dtype


@pytest.mark.parametrize("layout", ["fp8-blocks", pytest.param("awq", marks=pytest.mark.slow)])
def test_experts_that_are_stored_reduced_are_read_one_by_one(layout: str, tmp_path: Path) -> None:
    source = write_mixture(tmp_path / "whole", "qwen3_moe")
    reduce_folder(source, tmp_path / "made", layout)
    checkpoint = open_checkpoint(tmp_path / "made")
    read = checkpoint.build_deferred("bf16", NOTHING)
    assert len(read.experts) == 3 and len(read.matrices) == 12
    expected = logits(checkpoint.build("fp32", NOTHING))
    keeps = has_levels(checkpoint.stored) and not build.unavailable_reason()
    for dtype, most in (("bf16", 0.001), ("int8", 0.05), ("int4", 0.05 if keeps else 1.2)):
        made, _, _ = prepare.prepare_model(checkpoint, dtype, NOTHING)
        assert divergence(logits(made), expected) < most, dtype


def test_a_table_of_words_is_not_what_layers_are_stored_as() -> None:
    table = TensorHeader("model.embed_tokens.weight", "BF16", (900, 8), Path("w"))
    layer = TensorHeader("model.layers.0.mlp.up_proj.weight", "fp8", (8, 8), Path("w"))
    assert commonest_dtype([table, layer]) == "fp8"
    assert commonest_dtype([table]) == "bf16"


def test_a_config_that_promises_reduced_weights_over_whole_ones_is_told(tmp_path: Path) -> None:
    folder = tiny.write_llama(tmp_path / "m")
    assert not open_folder(folder).notes
    config = json.loads((folder / "config.json").read_text())
    said = {"quant_method": "awq", "bits": 4, "version": "gemm"}
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    assert open_folder(folder).notes == ("config.json says awq-int4, the files hold whole weights",)
