"""The four families against what the official code computed (tests/data/*/golden.*)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tui.checkpoints.architecture import read_architecture
from tui.worker.control import Control
from tui.worker.decode.generate import generate_ids
from tui.worker.decode.sampling import SamplingParams
from tui.worker.load.loader import open_weights

DATA = Path(__file__).parents[2] / "data"
PUBLISHED = Path(__file__).parents[4] / "shared" / "parity" / "published"
CASES = sorted(path.parent.name for path in DATA.glob("*/golden.json"))
BATCHED = [name for name in CASES if name != "qwen-tiny-long"]


class Case:
    def __init__(self, name: str) -> None:
        folder = DATA / name
        self.golden: dict[str, Any] = json.loads((folder / "golden.json").read_text())
        self.logits = load_file(folder / "golden.safetensors")
        self.folder, self.model = open_weights(folder / "checkpoint", "fp32")

    def sequences(self) -> list[tuple[str, dict[str, Any]]]:
        """Those within the context; what upstream does beyond it, no native class can."""
        context = self.folder.architecture.context
        return [
            (name, row)
            for name, row in self.golden["sequences"].items()
            if len(row["input_ids"]) <= context
        ]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {name: Case(name) for name in CASES}


def test_all_eight_cases_are_here() -> None:
    assert len(CASES) == 8


@pytest.mark.parametrize("name", CASES)
def test_logits(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    assert len(case.sequences()) >= 2
    for sequence, row in case.sequences():
        with torch.inference_mode():
            logits = case.model(torch.tensor([row["input_ids"]])).logits[0]
        assert logits.dtype == torch.float32
        worst = float((logits - case.logits[f"{sequence}.logits"]).abs().max())
        assert worst < 1e-4, f"{sequence}: {worst}"


@pytest.mark.parametrize("penalty", [1.0, 1.1])
@pytest.mark.parametrize("name", CASES)
def test_greedy(cases: dict[str, Case], name: str, penalty: float) -> None:
    case = cases[name]
    key = "greedy_32" if penalty == 1.0 else "greedy_32_repetition_penalty_1_1"
    sampling = SamplingParams(greedy=True, repetition_penalty=penalty)
    compared = 0
    for sequence, row in case.sequences():
        if key not in row:
            continue
        with torch.inference_mode():
            made = list(generate_ids(case.model, "cpu", row["input_ids"], sampling, 32, Control()))
        assert made == row[key], sequence
        compared += 1
    assert compared


@pytest.mark.parametrize("name", BATCHED)
def test_left_padded_batch(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    batch = case.golden["left_padded_batch"]
    ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
    with torch.inference_mode():
        out = case.model(
            input_ids=ids, attention_mask=mask, position_ids=torch.tensor(batch["position_ids"])
        ).logits
        made = case.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=32,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    real = mask.bool()
    worst = float((out[real] - case.logits["left_padded_batch.logits"][real]).abs().max())
    assert worst < 1e-4
    assert made[:, ids.shape[1] :].tolist() == batch["greedy_32"]


@pytest.mark.parametrize("name", BATCHED)
def test_bf16_mostly_agrees(name: str) -> None:
    """Rounding weights to eight bits moves a few close calls, never most of them."""
    folder = DATA / name
    golden = json.loads((folder / "golden.json").read_text())
    expected = load_file(folder / "golden.safetensors")["len64.logits"].argmax(-1)
    _, model = open_weights(folder / "checkpoint", "bf16")
    assert model.dtype == torch.bfloat16
    with torch.inference_mode():
        ids = torch.tensor([golden["sequences"]["len64"]["input_ids"]])
        agreed = (model(ids).logits[0].argmax(-1) == expected).float().mean()
    assert agreed >= 0.85


def test_first_generation_of_qwen_keys(tmp_path: Path) -> None:
    """Qwen-7B-Chat of August 2023 says the same in other words."""
    source = DATA / "qwen-tiny-a"
    folder = tmp_path / "checkpoint"
    shutil.copytree(source / "checkpoint", folder)
    config = json.loads((folder / "config.json").read_text())
    for new, old in {
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "ffn_hidden_size",
        "max_position_embeddings": "n_positions",
    }.items():
        config[old] = config.pop(new)
    config["padded_vocab_size"] = config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config))
    row = json.loads((source / "golden.json").read_text())["sequences"]["len7"]
    expected = load_file(source / "golden.safetensors")["len7.logits"]
    _, model = open_weights(folder, "fp32")
    with torch.inference_mode():
        logits = model(torch.tensor([row["input_ids"]])).logits[0]
    assert float((logits - expected).abs().max()) < 1e-4


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the publishers' config files are not shipped")
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("qwen/config.json", ("qwen", 32, 4096, 32, 32, 128, 11008, 151936, 8192)),
        ("qwen/config_2023-08.json", ("qwen", 32, 4096, 32, 32, 128, 11008, 151936, 2048)),
        ("chatglm3/config.json", ("chatglm3", 28, 4096, 32, 2, 128, 13696, 65024, 8192)),
        ("baichuan2/config.json", ("baichuan2", 32, 4096, 32, 32, 128, 11008, 125696, 4096)),
        ("deepseek/config.json", ("llama", 30, 4096, 32, 32, 128, 11008, 102400, 4096)),
    ],
)
def test_published_configs(file: str, expected: tuple[str | int, ...]) -> None:
    known = read_architecture(json.loads((PUBLISHED / file).read_text()))
    assert known.is_native
    assert (
        known.family,
        known.layers,
        known.hidden,
        known.heads,
        known.kv_heads,
        known.head_dim,
        known.intermediate,
        known.vocab,
        known.context,
    ) == expected
