"""A checkpoint's own Python code, for models that transformers has no class for.

Nothing here happens by itself: `agreed_family` is reached only with the hashes of the
files that a person was shown and agreed to run. What is run is a private copy of exactly
those bytes.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tui.checkpoints.architecture import Architecture
from tui.worker.load.chat_template import ChatTemplate
from tui.worker.load.families import Family, Words, general, llama
from tui.worker.load.families.base import CheckpointError
from tui.worker.load.families.vocabulary import cut_within
from tui.worker.load.generation_defaults import published
from tui.worker.load.prompt_fitting import NO_LIMIT

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx"}


def agreed_family(path: Path, config: Mapping[str, Any], agreed: Mapping[str, str]) -> Family:
    """The family of a checkpoint that runs its own code.

    ``agreed`` maps the name of each Python file of the folder to its SHA-256.

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
    copy = _private_copy(path, agreed)

    def native_config(_: Mapping[str, Any], __: Architecture, ___: Path) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(str(copy), trust_remote_code=True, local_files_only=True)

    def words(_: Path, config: Mapping[str, Any], known: Architecture | None) -> Words:
        return _words(copy, config, known)

    return Family(name="remote", native_config=native_config, words=words, remote=True)


def _private_copy(path: Path, agreed: Mapping[str, str]) -> Path:
    """A folder with the agreed code and the small files, so that nothing that changes
    after the check is run."""
    copy = Path(tempfile.mkdtemp(prefix="duibi-code-"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for file in sorted(path.iterdir()):
        if not file.is_file() or file.suffix in _WEIGHTS:
            continue
        content = file.read_bytes()
        if file.suffix == ".py":
            digest = hashlib.sha256(content).hexdigest()
            if agreed.get(file.name) != digest:
                raise CheckpointError(
                    "unsupported",
                    f"{file.name} is not the file that was agreed to (sha256 {digest[:16]}...)",
                    "look at it, and agree again",
                )
        (copy / file.name).write_bytes(content)
    _keep_modules_in(copy)
    return copy


def _keep_modules_in(copy: Path) -> None:
    """transformers copies code before it imports it: into our folder, not into the home."""
    from transformers import dynamic_module_utils

    dynamic_module_utils.HF_MODULES_CACHE = str(copy / "modules")


class CodeVocabulary:
    """A tokenizer that is the checkpoint's own code."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        known = {str(token): number for number, token in tokenizer.added_tokens_decoder.items()}
        for token in tokenizer.all_special_tokens:
            known.setdefault(str(token), tokenizer.convert_tokens_to_ids(token))
        self.controls = known
        self.prefix: list[int] = []

    def plain(self, text: str) -> list[int]:
        # Such a tokenizer may turn markers into ids wherever they stand: cut within each.
        pieces = cut_within(self.controls, text)
        ids: list[int] = []
        for piece in pieces:
            ids += self._tokenizer.encode(piece, add_special_tokens=False)
        return ids

    def marked(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


def _words(folder: Path, config: Mapping[str, Any], known: Architecture | None) -> Words:
    tokenizer_config = general.optional_json(folder / "tokenizer_config.json")
    if "AutoTokenizer" not in (tokenizer_config.get("auto_map") or {}):
        return llama.words(folder, config, known)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=True, local_files_only=True
        )
        vocabulary = CodeVocabulary(tokenizer)
    except Exception as error:  # a stranger's code raises whatever it likes
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError("unsupported", f"its own tokenizer does not run: {reason}") from None
    context, vocab = (known.context, known.vocab) if known else (NO_LIMIT, NO_LIMIT)
    source = general.template_of(folder, tokenizer_config)
    named = general.special_tokens(folder, tokenizer_config)
    generation = general.optional_json(folder / "generation_config.json")
    stops = general.stop_ids(vocabulary.controls, named, generation, config)
    if source is None:
        return Words(
            general.CompletionCodec(vocabulary, context, vocab),
            stops,
            "completion",
            sampling=published(generation),
            notes=("no chat format: the text is completed, not answered",),
        )
    codec = general.TemplateCodec(vocabulary, ChatTemplate(source, named), context, vocab)
    return Words(codec, stops, "template", sampling=published(generation))
