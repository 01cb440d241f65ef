"""How many tokens a text has, where the service does not say."""

import hashlib
import os
import tempfile
from pathlib import Path

from tui.text.token_estimate import estimate_whole

_VOCABULARY = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


def count(text: str, model: str) -> tuple[int, str]:
    """``(tokens, source)``: ``tokenizer`` for an OpenAI model whose vocabulary lies in
    tiktoken's cache (nothing is fetched), else ``estimate``."""
    name = _encoding(model)
    if name and _is_cached(name):
        import tiktoken

        try:
            return len(tiktoken.get_encoding(name).encode_ordinary(text)), "tokenizer"
        except (OSError, ValueError):
            pass  # damaged cache: fall back to the estimate
    return estimate_whole(text), "estimate"


def _encoding(model: str) -> str:
    if not model.startswith(("gpt-", "chatgpt-", "o1", "o3", "o4")):
        return ""
    import tiktoken

    try:
        return str(tiktoken.encoding_name_for_model(model))
    except KeyError:
        return ""


def _is_cached(encoding: str) -> bool:
    """Whether tiktoken would find the vocabulary on disk: it keeps it under the SHA-1 of its
    address, in TIKTOKEN_CACHE_DIR, DATA_GYM_CACHE_DIR, or a folder of the temporary one."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder:
        return False
    address = _VOCABULARY.format(encoding)
    return (Path(folder) / hashlib.sha1(address.encode()).hexdigest()).is_file()
