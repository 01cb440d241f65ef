"""A LoRA adapter in its base is what peft makes of them."""

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
from tui.checkpoints.adapter import read_adapter, read_matrices
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import loading_peak
from tui.checkpoints.weight_headers import read_config
from tui.cli import run_command_line
from tui.host.errors import UserError
from tui.models.reference import parse_reference
from tui.models.resolve import resolve
from tui.run import plan
from tui.worker.load import shards
from tui.worker.load.adapter_weights import AdapterWeights, MergedMatrix
from tui.worker.load.checkpoint_folder import open_folder
from tui.worker.load.families import family_of
from tui.worker.load.loader import build_model, open_checkpoint
from tui.worker.load.prepare import prepare_model
from tui.worker.quant.fused_linear import weight_tensors

NOTHING = lambda done, total: None  # noqa: E731


def logits(folder: Path, adapter: Path | None = None, dtype: str = "fp32") -> Any:
    model = open_checkpoint(folder, adapter=adapter).build(dtype, lambda done, total: None)
    with torch.inference_mode():
        return model(input_ids=torch.arange(3, 40)[None]).logits[0].float()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("models") / "Tiny-Base", attention_bias=True)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_llama(tmp_path_factory.mktemp("models") / "Tied", tie_word_embeddings=True)


LAYERS = ["q_proj", "v_proj", "down_proj"]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 12, "target_modules": LAYERS},
    "rank-stabilised": {"r": 4, "lora_alpha": 6, "use_rslora": True, "target_modules": LAYERS},
    "patterns": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": LAYERS,
        "rank_pattern": {"down_proj": 2},
        "alpha_pattern": {"v_proj": 20, "layers.1.self_attn.q_proj": 3},
    },
    "embedding and head": {
        "r": 3,
        "lora_alpha": 9,
        "target_modules": ["embed_tokens", "o_proj"],
        "modules_to_save": ["lm_head"],
    },
    "modules by a pattern, biases trained": {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": r".*layers\.[02]\..*(q|up)_proj",
        "bias": "all",
    },
    "modules of some layers": {
        "r": 2,
        "lora_alpha": 8,
        "target_modules": LAYERS,
        "layers_to_transform": [1, 3],
    },
    "norms": {"r": 2, "lora_alpha": 8, "target_modules": LAYERS, "modules_to_save": ["norm"]},
}
TIED_KINDS: dict[str, dict[str, Any]] = {
    "words alone": {"target_modules": LAYERS, "modules_to_save": ["embed_tokens"]},
    "head alone": {"target_modules": LAYERS, "modules_to_save": ["lm_head"]},
    "both": {"target_modules": LAYERS, "modules_to_save": ["embed_tokens", "lm_head"]},
    "words by matrices": {"target_modules": ["embed_tokens"]},
    "head by matrices": {"target_modules": ["lm_head"]},
}
"""What an adapter does to a base whose head is its table of words."""


def trained(base: Path, folder: Path, **config: Any) -> Any:
    """Write an adapter with random matrices by peft; the model that peft merges."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **config))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            is_bias = "bias" in config and name.endswith(".bias")
            if "lora_" in name or "modules_to_save" in name or is_bias:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    wrapped.save_pretrained(folder)
    return wrapped.merge_and_unload().eval()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_model_that_peft_merges(
    base: Path, tmp_path: Path, kind: str
) -> None:
    same_as_merged(base, tmp_path / "lora", KINDS[kind])


@pytest.mark.parametrize("kind", TIED_KINDS)
def test_a_head_that_is_the_table_of_words_is_what_peft_makes_of_it(
    tied: Path, tmp_path: Path, kind: str
) -> None:
    same_as_merged(tied, tmp_path / "lora", {"r": 4, "lora_alpha": 8} | TIED_KINDS[kind])


def same_as_merged(base: Path, folder: Path, config: dict[str, Any]) -> None:
    """Check the logits of an adapter of this kind in its base."""
    merged = trained(base, folder, **config)
    with torch.inference_mode():
        wanted = merged(input_ids=torch.arange(3, 40)[None]).logits[0]
    found = logits(base, folder)
    assert (found - wanted).abs().max() < 1e-4
    assert (found - logits(base)).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", ["bf16", "int8", "int4"])
def test_what_is_reduced_is_merged_a_few_rows_at_a_time(
    base: Path, tmp_path: Path, dtype: str
) -> None:
    merged = trained(base, tmp_path / "lora", **KINDS["plain"])
    merged.save_pretrained(tmp_path / "merged")
    tiny.write_tokenizer(tmp_path / "merged")
    checkpoint = open_checkpoint(base, adapter=tmp_path / "lora")
    read = checkpoint.build_deferred(checkpoint.plain_dtype, NOTHING)
    assert len(read.matrices) == 4 * len(LAYERS)
    assert all(isinstance(one, MergedMatrix) for one in read.matrices.values())
    wanted, found = (
        prepare_model(one, dtype, NOTHING)[0](input_ids=torch.arange(3, 40)[None]).logits
        for one in (open_checkpoint(tmp_path / "merged"), checkpoint)
    )
    assert (found - wanted).abs().max() < 0.02 * wanted.std()


@pytest.mark.parametrize(
    ("saved", "more", "is_tied"),
    [(["lm_head"], 1, False), (["embed_tokens"], 1, False), (["norm"], 0, True)],
)
def test_the_plan_counts_what_an_adapter_makes(
    tied: Path, tmp_path: Path, saved: list[str], more: int, is_tied: bool
) -> None:
    config = {"r": 4, "lora_alpha": 8, "target_modules": LAYERS, "modules_to_save": saved}
    trained(tied, tmp_path / "lora", **config)
    before, after = (
        plan.size_of_model(
            resolve(parse_reference(f"{one}@bf16"), lambda _: False, lambda *_: None)
        )
        for one in (tied, f"{tmp_path / 'lora'}+{tied}")
    )
    table = 320 * 64
    assert after.parameters == before.parameters + more * table
    assert after.shape.tied is is_tied
    assert after.shape.table_made is (saved == ["embed_tokens"])
    merged = 4 * (64 * 64 + 32 * 64 + 64 * 128)
    assert merged <= after.shape.merged <= merged + table
    model, _, _ = prepare_model(
        open_checkpoint(tied, adapter=tmp_path / "lora"), "bf16", lambda done, total: None
    )
    assert sum(one.numel() for one in weights_of(model)) == after.parameters
    # What a file holds in bf16 is mapped, what is merged is not.
    peaks = [
        loading_peak(one.parameters, "bf16", replace(one.shape, stored="bf16"))
        for one in (before, after)
    ]
    assert peaks[1] - peaks[0] == pytest.approx(2 * after.shape.merged * 1.04, abs=2)


def weights_of(model: Any) -> list[Any]:
    """All weights of a model, those that are shared once."""
    found = [*model.parameters(), *weight_tensors(model.modules())]
    return list(
        {one.data_ptr(): one for one in found if one.dim() > 1 or one.numel() == 64}.values()
    )


@pytest.mark.parametrize(
    ("case", "module"),
    [
        ("qwen-tiny-a", "transformer.h.0.attn.c_attn"),
        ("chatglm3-tiny-a", "transformer.encoder.layers.0.self_attention.query_key_value"),
        ("baichuan2-tiny-a", "model.layers.0.self_attn.W_pack"),
    ],
)
def test_modules_have_the_names_of_the_code_of_their_families(
    case: str, module: str, tmp_path: Path
) -> None:
    """As trained with the code that was published: a layer that is divided here."""
    source = Path(__file__).parents[2] / "data" / case / "checkpoint"
    merged = shutil.copytree(source, tmp_path / "merged")
    for old in (*merged.glob("*.safetensors"), *merged.glob("*.bin"), *merged.glob("*.index.json")):
        old.unlink()
    weights = dict(shards.open_tensors(source, 1, lambda done, total: None))
    weight = weights[f"{module}.weight"]
    matrices = pair(module, *weight.shape)
    a, b = (matrices[f"{module}.lora_{one}.weight"] for one in "AB")
    changed = {f"{module}.weight": (weight.float() + 2 * b @ a).to(weight.dtype)}
    whole = {name: one.clone() for name, one in (weights | changed).items()}
    save_file(whole, merged / "model.safetensors")
    adapter = write_adapter(tmp_path / "lora", matrices)
    plain, wanted, found = (
        without_words(*given) for given in ((source,), (merged,), (source, adapter))
    )
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(plain, wanted, atol=1e-2)


def without_words(base: Path, adapter: Path | None = None) -> Any:
    """The logits of a folder that holds no tokenizer."""
    folder = open_folder(base, adapter)
    family = family_of(folder.architecture.family)
    model = build_model(folder, family, "fp32", lambda done, total: None)
    with torch.inference_mode():
        return model(input_ids=torch.arange(3, 40)[None]).logits[0]


def write_adapter(folder: Path, tensors: dict[str, Any], **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "Tiny-Base"}
    (folder / "adapter_config.json").write_text(json.dumps(said | config))
    save_file(
        {f"base_model.model.{name}": tensor for name, tensor in tensors.items()},
        folder / "adapter_model.safetensors",
    )
    return folder


def pair(module: str, outputs: int, inputs: int, rank: int = 2) -> dict[str, Any]:
    return {
        f"{module}.lora_A.weight": torch.randn(rank, inputs),
        f"{module}.lora_B.weight": torch.randn(outputs, rank),
    }


QUERY = "model.layers.0.self_attn.q_proj"


def test_weights_that_are_stored_transposed(tmp_path: Path) -> None:
    """As of GPT-2: (inputs, outputs)."""
    folder = write_adapter(tmp_path / "a", pair("h.0.c_attn", 6, 4), fan_in_fan_out=True)
    stored = load_file(folder / "adapter_model.safetensors")
    weight = torch.randn(4, 6)
    weights = AdapterWeights(read_adapter(folder))
    ((_, merged),) = weights.merge(iter([("h.0.c_attn.weight", weight)]))
    weights.require_used()
    a, b = (stored[f"base_model.model.h.0.c_attn.lora_{m}.weight"] for m in "AB")
    assert torch.allclose(merged.to(torch.float32), weight + 2 * (b @ a).T, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"alora_invocation_tokens": [5, 6]}, "aLoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "PiSSA"),
        ({"init_lora_weights": "olora"}, "OLoRA"),
        ({"init_lora_weights": "loftq"}, "LoftQ"),
        ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
        ({"trainable_token_indices": [5]}, "trainable_token_indices"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": "PREFIX_TUNING"}, "PREFIX_TUNING"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"lora_bias": True}, "lora_bias"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "alpha_pattern"),
        ({"r": 0}, "r cannot be 0"),
        ({"lora_alpha": "x" * 99}, "lora_alpha cannot be"),
    ],
)
def test_other_adapters_are_refused_by_their_name(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        read_adapter(write_adapter(tmp_path / "a", pair(QUERY, 64, 64), **config))


def test_what_an_adapter_calls_its_base_is_one_line(tmp_path: Path) -> None:
    folder = write_adapter(
        tmp_path / "a", pair(QUERY, 64, 64), base_model_name_or_path="a\n  -> rm it\x1b[2J"
    )
    assert not {"\n", "\x1b"} & set(read_adapter(folder).base)
    with pytest.raises(CheckpointError) as raised:
        read_config(folder)
    assert not {"\n", "\x1b"} & set(raised.value.message)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"r": 8}, "q_proj has rank 2, adapter_config.json says 8"),
        ({"target_modules": ["v_proj"]}, "it changes .*q_proj, which .* does not name"),
    ],
)
def test_a_config_that_contradicts_the_matrices_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    adapter = read_adapter(write_adapter(tmp_path / "a", pair(QUERY, 64, 64), **config))
    with pytest.raises(CheckpointError, match=said):
        read_matrices(adapter)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop(f"{QUERY}.lora_A.weight"),
        lambda t: t.update({f"{QUERY}.lora_A.weight": torch.randn(3, 64)}),
        lambda t: t.update({f"{QUERY}.lora_magnitude_vector": torch.randn(64)}),
        lambda t: t.clear(),
    ],
)
def test_half_an_adapter_is_one_line(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    tensors = pair(QUERY, 64, 64)
    change(tensors)
    with pytest.raises(CheckpointError):
        read_matrices(read_adapter(write_adapter(tmp_path / "a", tensors)))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (pair("model.layers.99.self_attn.q_proj", 64, 64), "parts that its base has not"),
        (pair(QUERY, 64, 32), r"q_proj.*\[64, 32\], its base has \[64, 64\]"),
        ({"lm_head.weight": torch.randn(9, 64)}, r"\[9, 64\], its base has \[320, 64\]"),
    ],
)
def test_an_adapter_of_another_base_is_said_to_be_that(
    base: Path, tmp_path: Path, tensors: dict[str, Any], said: str
) -> None:
    folder = write_adapter(tmp_path / "a", tensors)
    with pytest.raises(CheckpointError, match=said):
        logits(base, folder)


def test_an_adapter_that_holds_no_numbers_is_blamed_and_not_its_base(
    base: Path, tmp_path: Path
) -> None:
    broken = {name: one * float("nan") for name, one in pair(QUERY, 64, 64).items()}
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors: .* not numbers"):
        logits(base, write_adapter(tmp_path / "a", broken))


def test_adapter_and_base_side_by_side_in_one_command(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_adapter(base.parent / "tuned", pair(QUERY, 64, 64))
    (tmp_path / "q.txt").write_text("hi\n")
    asked = ("--max-new-tokens", "6", "--greedy", "--json", "--no-measure")
    models = (f"{base}@fp32", f"{folder}@fp32")
    code = run_command_line(["run", *models, "--questions", str(tmp_path / "q.txt"), *asked])
    out, err = capsys.readouterr()
    assert code == 0, err
    document = json.loads(out)
    labels = [model["label"] for model in document["models"]]
    assert labels == ["Tiny-Base@fp32", "tuned@fp32"]
    texts = [model["answers"][0]["text"] for model in document["models"]]
    assert texts[0] != texts[1]


def test_the_base_is_named_or_found_by_its_name(base: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "tuned", pair(QUERY, 64, 64))
    with pytest.raises(UserError, match="not found here"):
        resolve(parse_reference(str(folder)), lambda _: False, lambda *_: None)
    named = resolve(parse_reference(f"{folder}+{base}@int8"), lambda _: False, lambda *_: None)
    assert (named.checkpoint, named.adapter, named.dtype) == (base, folder, "int8")
    beside = write_adapter(base.parent / "beside", pair(QUERY, 64, 64))
    found = resolve(parse_reference(f"{beside}@fp32"), lambda _: False, lambda *_: None)
    assert (found.checkpoint, found.label) == (base, "beside@fp32")
    assert found.to_json()["adapter_fingerprint"] != named.to_json()["adapter_fingerprint"]


def test_a_base_that_is_not_here_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_adapter(
        tmp_path / "tuned", pair(QUERY, 64, 64), base_model_name_or_path="/data/Qwen-7B-Chat"
    )
    assert run_command_line(["run", str(folder), "--questions", "smoke"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "LoRA adapter for /data/Qwen-7B-Chat" in said
    assert f"{folder}+./BASE" in said
