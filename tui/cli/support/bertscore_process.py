"""BERTScore, computed in a process that may import torch, with an encoder of this machine."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tui.engines.worker_process import worker_environment
from tui.host import child_process, cpu, extras
from tui.host.errors import UserError
from tui.scoring.overlap import BertScores, Scorer
from tui.text.sanitise import one_line

EncoderFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="BERTScore against the references with this encoder."),
]
EncoderLayer = Annotated[
    int, typer.Option(metavar="N", min=0, help="Its hidden layer; 0: three quarters up.")
]

_NEXT_STEP = "give the folder of an encoder as published, such as bert-base-chinese"


def scorer(folder: Path, layer: int = 0) -> Scorer:
    """What computes BERTScore with the encoder in ``folder``, of its hidden ``layer`` (from 1;
    0: three quarters up).

    Raises:
        UserError: the extra is not installed, or there is no encoder; the scorer raises it where
            none can be loaded.
    """
    extras.require(extras.LOCAL)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no encoder: no config.json", _NEXT_STEP)

    def score(pairs: Sequence[tuple[str, str]]) -> BertScores:
        done = child_process.run(
            child_process.module_command("tui.worker.bertscore", str(folder), str(layer)),
            worker_environment(cpu.cores()),
            input=json.dumps({"pairs": list(pairs)}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            found = json.loads(done.stdout)
        except ValueError:
            found = {"error": f"its process ended with {done.returncode}"}
        if "error" in found:
            raise UserError(f"{folder} cannot encode: {one_line(found['error'])}", _NEXT_STEP)
        return BertScores(found["f1"], folder.resolve().name, found["layer"])

    return score
