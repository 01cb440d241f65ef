"""A checkpoint's own Python code, for models that transformers has no class for.

Nothing here happens by itself: `remote_code_family` is reached only with the hashes of the
files that a person was shown and agreed to run. What is run is a private copy of exactly
those bytes.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.checkpoints.errors import CheckpointError
from tui.host import foreign_files
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families import ChatFormat, Family, general, llama
from tui.worker.load.families.text_tokenizer import MAX_FILE_BYTES, split_control_tokens
from tui.worker.load.generation_defaults import sampling_defaults
from tui.worker.load.prompt_fitting import NO_LIMIT

_WEIGHT_SUFFIXES = {
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".h5",
    ".msgpack",
    ".onnx",
}


def remote_code_family(
    path: Path, config: Mapping[str, Any], agreed_hashes: Mapping[str, str]
) -> Family:
    """The family of a checkpoint that runs its own code.

    ``agreed_hashes`` maps the name of each Python file of the folder to its SHA-256.

    Raises:
        CheckpointError: a file is not the one that was agreed to, or code from another
            place would be fetched.
    """
    auto_map = config.get("auto_map")
    if not isinstance(auto_map, dict) or "AutoModelForCausalLM" not in auto_map:
        raise CheckpointError(
            "unsupported", f"{path.name}: config.json names no code for a text model"
        )
    if any("--" in str(value) for value in auto_map.values()):
        raise CheckpointError(
            "unsupported", f"{path.name} asks for code from another repository: refused"
        )
    copy = _private_copy(path, agreed_hashes)

    def native_config(_: Mapping[str, Any], __: Architecture, ___: Path) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(str(copy), trust_remote_code=True, local_files_only=True)

    def words(_: Path, config: Mapping[str, Any], known: Architecture | None) -> ChatFormat:
        return _chat_format(copy, config, known)

    return Family(
        name="remote", native_config=native_config, chat_format=words, is_remote_code=True
    )


def _private_copy(path: Path, agreed: Mapping[str, str]) -> Path:
    """A folder with the agreed code and the small files, so that nothing that changes
    after the check is run."""
    copy = Path(tempfile.mkdtemp(prefix="duibi-code-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for file in sorted(path.iterdir()):
        if not file.is_file() or file.suffix in _WEIGHT_SUFFIXES:
            continue
        content = foreign_files.read_bytes(file, MAX_FILE_BYTES)
        if file.suffix == ".py":
            digest = hashlib.sha256(content).hexdigest()
            if agreed.get(file.name) != digest:
                raise CheckpointError(
                    "unsupported",
                    f"{file.name} is not the file that was agreed to (sha256 {digest[:16]}...)",
                    "look at it, and agree again",
                )
        (copy / file.name).write_bytes(content)
    _redirect_module_cache(copy)
    return copy


def _redirect_module_cache(copy: Path) -> None:
    """transformers copies code before it imports it: into our folder, not into the home."""
    from transformers import dynamic_module_utils

    dynamic_module_utils.HF_MODULES_CACHE = str(copy / "modules")


class RemoteCodeTokenizer:
    """A tokenizer that is the checkpoint's own code."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        known = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
        for token in tokenizer.all_special_tokens:
            known.setdefault(str(token), tokenizer.convert_tokens_to_ids(token))
        self.control_tokens = known
        self.prefix_ids: list[int] = []
        self._skipped_ids = set(tokenizer.all_special_ids)

    def encode_text(self, text: str) -> list[int]:
        # Such a tokenizer may turn markers into ids wherever they stand: cut within each.
        pieces = split_control_tokens(self.control_tokens, text)
        ids: list[int] = []
        for piece in pieces:
            ids += self._tokenizer.encode(piece, add_special_tokens=False)
        return ids

    def encode_with_controls(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def show(self, tokens: Collection[str]) -> None:
        self._skipped_ids -= {self.control_tokens.get(token, -1) for token in tokens}

    def decode(self, ids: Sequence[int]) -> str:
        kept = [number for number in ids if number not in self._skipped_ids]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))


def _chat_format(folder: Path, config: Mapping[str, Any], known: Architecture | None) -> ChatFormat:
    tokenizer_config = general.read_optional_json(folder / "tokenizer_config.json")
    if "AutoTokenizer" not in (tokenizer_config.get("auto_map") or {}):
        return llama.read_chat_format(folder, config, known)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=True, local_files_only=True
        )
        vocabulary = RemoteCodeTokenizer(tokenizer)
    except Exception as error:  # remote code can raise any exception
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError("unsupported", f"its own tokenizer does not run: {reason}") from None
    context, vocab = (known.context, known.vocab) if known else (NO_LIMIT, NO_LIMIT)
    source = general.find_chat_template(folder, tokenizer_config)
    named = general.named_special_tokens(folder, tokenizer_config)
    generation = general.read_optional_json(folder / "generation_config.json")
    stops = general.stop_ids(vocabulary.control_tokens, named, generation, config)
    if source is None:
        return ChatFormat(
            general.CompletionTokenizer(vocabulary, context, vocab),
            stops,
            "completion",
            sampling_defaults=sampling_defaults(generation),
            notes=("no chat format: the text is completed, not answered",),
        )
    codec = general.TemplateTokenizer(vocabulary, ChatTemplate(source, named), context, vocab)
    controls = vocabulary.control_tokens
    return general.template_format(
        codec, controls, stops | codec.turn_ends(), sampling_defaults(generation)
    )
