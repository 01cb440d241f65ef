"""Reading a `tokenizer.model` with sentencepiece, for the families that publish one."""

from pathlib import Path
from typing import Any

import sentencepiece

from tui.worker.families.base import CheckpointError


def processor(folder: Path) -> Any:
    """The sentencepiece processor of a checkpoint folder.

    Raises:
        CheckpointError: no `tokenizer.model`, or not a sentencepiece model.
    """
    path = folder / "tokenizer.model"
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(
            "not_found",
            f"{folder.name} holds no tokenizer (tokenizer.model)",
            "copy tokenizer.model of the model into the folder",
        ) from None
    except (OSError, RuntimeError, ValueError):
        raise CheckpointError(
            "damaged", "tokenizer.model is not a sentencepiece model", "fetch the file again"
        ) from None
