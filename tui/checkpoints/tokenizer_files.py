"""The files that hold a checkpoint's words, of those families that have no code of their own."""

from pathlib import Path

FAST = "tokenizer.json"
"""What the tokenizers library reads as it is."""
TIKTOKEN = "tiktoken.model"
CONVERTED = ("tokenizer.model", "vocab.json", "spiece.model", "vocab.txt", TIKTOKEN)
"""What transformers makes such a one of."""
EVERY = (FAST, *CONVERTED)
MERGES = "merges.txt"
"""What belongs to a ``vocab.json``: in which order its words are put together."""


def words_file(folder: Path) -> str:
    """The file that a folder's words are read from, empty where there is none."""
    return next((name for name in EVERY if (folder / name).is_file()), "")


def remark(folder: Path) -> str:
    """What is said of the file that a folder's words are read from; may be empty."""
    if words_file(folder) != TIKTOKEN:
        return ""
    return f"{TIKTOKEN} does not say how texts are cut: it is done as for Llama 3"


def missing_file(folder: Path) -> str:
    """The file that a folder lacks for its words to be read, empty where it lacks none."""
    found = words_file(folder)
    if found == "vocab.json" and not (folder / MERGES).is_file():
        return MERGES
    return "" if found else FAST
