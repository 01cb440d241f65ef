"""Checkpoints that depart from what is usual: a right answer, or one sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.support import tiny
from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.errors import CheckpointError
from tui.worker.load.loader import open_checkpoint
from tui.worker.load.missing_tensors import require_all_tensors
from tui.worker.load.prepare import prepare_model


def test_weights_of_64_bits_are_reduced(tmp_path: Path) -> None:
    folder = tiny.write_llama(tmp_path / "wide")
    stored = load_file(folder / "model.safetensors")
    wide = {name: tensor.double() for name, tensor in stored.items()}
    save_file(wide, folder / "model.safetensors", {"format": "pt"})
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.stored, checkpoint.plain_dtype) == ("fp64", "fp32")
    model, _, _ = prepare_model(checkpoint, "int8", lambda done, total: None)
    with torch.inference_mode():
        assert torch.isfinite(model(input_ids=torch.tensor([[3, 4, 5]])).logits).all()


def test_what_transformers_has_no_rule_for_is_named(tmp_path: Path) -> None:
    folder = tiny.write_llama(tmp_path / "scaled")
    config = json.loads((folder / "config.json").read_text())
    config |= {"rope_scaling": {"type": "su", "factor": 2.0}, "rope_parameters": None}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="transformers has no rule for 'su'"):
        open_checkpoint(folder).build("fp32", lambda done, total: None)


def test_what_would_not_load_is_seen_by_the_names_of_tensors(tmp_path: Path) -> None:
    folder = tiny.write_llama(tmp_path / "m")
    require_all_tensors(folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"1 tensors are missing: .*layers\.1\.mlp\.up_proj"):
        require_all_tensors(folder)


@pytest.mark.parametrize("name", ["BertModel", "BertForMaskedLM"])
def test_a_model_that_only_reads_is_no_chat_model(name: str) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    with pytest.raises(CheckpointError, match=f"{name} writes no text"):
        read_architecture({"model_type": "bert", "architectures": [name], **sizes})
