"""Reading a `tokenizer.model` with sentencepiece, for the families that publish one."""

from pathlib import Path
from typing import Any

import sentencepiece

from tui.checkpoints.errors import CheckpointError
from tui.worker.load.families.text_tokenizer import read_tokenizer_file


def load_processor(folder: Path) -> Any:
    """The sentencepiece processor of a checkpoint folder.

    Raises:
        CheckpointError: no `tokenizer.model`, or not a sentencepiece model.
    """
    content = read_tokenizer_file(folder / "tokenizer.model")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=content)
    except (RuntimeError, ValueError):
        raise CheckpointError(
            "damaged", "tokenizer.model is not a sentencepiece model", "fetch the file again"
        ) from None
