"""What a checkpoint folder is, from its config.json and the headers of its weight files."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tui.checkpoints import tokenizer_files
from tui.checkpoints.architecture import (
    MAX_SIZE,
    Architecture,
    read_architecture,
    text_config,
)
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.memory_estimate import MemoryShape
from tui.checkpoints.reach import count_unreached
from tui.checkpoints.size_check import contradicted_size
from tui.checkpoints.stored_quantisation import StoredQuantisation, is_unused, weights_of_parts
from tui.checkpoints.text_half import left_out
from tui.checkpoints.weight_headers import (
    HEADS,
    MAX_HEADER_BYTES,
    TensorHeader,
    commonest_dtype,
    count_expert_weights,
    count_parameters,
    promised_names,
    read_config,
    read_file_headers,
    shard_names,
)
from tui.host import foreign_files
from tui.host.errors import UserError
from tui.models.caches import display_name

_TOKENIZERS = {
    "qwen": ("qwen.tiktoken",),
    "chatglm3": ("tokenizer.model",),
    "baichuan2": ("tokenizer.model",),
}
_COMPUTED = (
    *("inv_freq", ".attn.bias", ".attention.bias", "masked_bias", "position_ids"),
    *("cos_cached", "sin_cached"),
)
"""Ends of the names of what models compute by themselves, though files may hold it."""

_FACTS = (
    *("family", "model_type", "parameters", "dtype", "checkpoint_bytes", "context", "layers"),
    *("hidden", "kv_heads", "head_dim", "vocab", "width", "tokenizer"),
)
"""What every model has: where nothing stands there, it is not known."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One weight file: its size in bytes, whether it is there, and what is wrong with it."""

    name: str
    nbytes: int = 0
    present: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A checkpoint folder seen from outside.

    ``parameters`` counts weights, ``dtype`` is what most of them are stored as (``bf16``,
    ``fp16``, ``fp32`` ..., or the label of a `StoredQuantisation`), ``checkpoint_bytes`` the
    size of all tensors, ``context`` the longest prompt plus answer in tokens. ``tokenizer`` is
    the name of the file the words come from, empty where there is none. ``problems`` are lines
    that say why it cannot be loaded; empty means it can. ``remote_code`` maps the Python files
    that only a model without a native class needs to their SHA-256.
    """

    path: Path
    family: str = ""
    model_type: str = ""
    parameters: int = 0
    dtype: str = ""
    checkpoint_bytes: int = 0
    context: int = 0
    layers: int = 0
    hidden: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    vocab: int = 0
    width: int = 0
    """Of the feed-forward part."""
    tied: bool = False
    """Whether the output head has no weights of its own, but the embeddings'."""
    tokenizer: str = ""
    shards: tuple[Shard, ...] = ()
    problems: tuple[str, ...] = ()
    remote_code: dict[str, str] = field(default_factory=dict)
    skipped_bytes: int = 0
    """Size of tensors that a text model has no use for."""
    kept_wide: int = 0
    """Weights that int8 and int4 do not reach."""
    transposed: int = 0
    """Weights of experts that are stored as (inputs, outputs)."""
    cached_layers: int = 0
    """Layers that hold keys and values of every token."""
    tables: int = 0
    """Weights of tables beside the embeddings of which only rows are read."""
    quantisation: StoredQuantisation | None = None
    """What config.json says of reduced weights; None where it says nothing."""
    lacking: tuple[str, ...] = ()
    """What is in none of the weight files, though all are there: tensors that the index names,
    else ``layers``."""

    @property
    def shape(self) -> MemoryShape:
        """What its memory depends on."""
        sizes = (self.kv_heads, self.head_dim, self.hidden, self.width, self.vocab)
        return MemoryShape(
            self.cached_layers,
            *sizes,
            self.tied,
            self.dtype,
            kept_wide=self.kept_wide,
            transposed=self.transposed,
            tables=self.tables,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the weight files that are not there."""
        return tuple(shard.name for shard in self.shards if not shard.present)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `duibi models inspect --json`; null is what is not known."""
        told = asdict(self) | {"path": str(self.path), "problems": list(self.problems)}
        unknown = [name for name in _FACTS if not told[name]]
        return told | dict.fromkeys(unknown, None)


def require_loadable(path: Path, remote_code: bool = False) -> Inspection:
    """Inspect a checkpoint that is to be used. With ``remote_code`` one that brings its own
    Python code passes too; whether that may run is for `tui.models.consent` to ask.

    Raises:
        UserError: it cannot be used; the first of the `inspect_folder` problems.
    """
    _require_folder(path)
    try:
        known = read_architecture(read_config(path))
    except CheckpointError as error:
        raise _with_name(path, error) from None
    found = _inspect(path, known, remote_code)
    for shard in found.shards:
        if shard.problem:
            try:
                read_file_headers(path / shard.name)
            except CheckpointError as error:
                raise _with_name(path, error) from None
    if found.problems:
        raise UserError(
            f"{display_name(path)}: {found.problems[0]}", "duibi models inspect shows the whole"
        )
    return found


def inspect_folder(path: Path) -> Inspection:
    """All that can be said of a folder, usable or not: what is wrong is in ``problems``.

    Raises:
        UserError: there is no such folder.
    """
    _require_folder(path)
    try:
        known = read_architecture(read_config(path))
    except CheckpointError as error:
        return _refused(path, error.message)
    return _inspect(path, known)


def _refused(path: Path, why: str) -> Inspection:
    """What the files of a folder say that is refused by its config.json."""
    shards, tensors, _ = _shards(path)
    try:
        config = dict(read_config(path))
    except CheckpointError:
        config = {}
    text = text_config(config)
    places = [text.get(key) for key in ("max_position_embeddings", "n_positions", "seq_length")]
    context = next((n for n in places if type(n) is int and 0 < n <= MAX_SIZE), 0)
    kind = config.get("model_type")
    return Inspection(
        path=path,
        model_type=kind if isinstance(kind, str) else "",
        # Of reduced weights several numbers lie in one.
        parameters=0 if config.get("quantization_config") else count_parameters(tensors, False),
        dtype="" if config.get("quantization_config") else commonest_dtype(tensors),
        checkpoint_bytes=sum(tensor.nbytes for tensor in tensors),
        context=context,
        tokenizer=_tokenizer(path, tokenizer_files.EVERY),
        shards=shards,
        problems=(why,),
    )


def _tokenizer(path: Path, names: Iterable[str]) -> str:
    return next((name for name in names if (path / name).is_file()), "")


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        raise UserError(f"there is no folder {path}", "check the path")


def _with_name(path: Path, error: CheckpointError) -> UserError:
    return UserError(f"{display_name(path)}: {error.message}", error.next_step)


def _inspect(path: Path, known: Architecture, remote_code: bool = False) -> Inspection:
    shards, stored, problems = _shards(path)
    skipped = left_out((tensor.name for tensor in stored), known)
    tensors = [tensor for tensor in stored if tensor.name not in skipped]
    try:
        tensors = weights_of_parts(tensors, known.quantisation)
    except CheckpointError as error:
        problems.append(error.message)
    names = _TOKENIZERS.get(known.family, tokenizer_files.EVERY)
    tokenizer = _tokenizer(path, names)
    if not tokenizer:
        problems.append(f"no tokenizer ({names[0]})")
    elif known.family not in _TOKENIZERS and (absent := tokenizer_files.missing_file(path)):
        problems.append(f"no tokenizer ({absent})")
        tokenizer = ""
    code: dict[str, str] = {}
    if not known.is_native:
        code = python_files(path)
        if not code:
            problems.append(f"transformers has no class for the type {known.model_type[:40]}")
        elif not remote_code:
            problems.append(
                f"the type {known.model_type[:40]} needs the Python code in its folder: "
                "give --remote-code, if you trust it"
            )
    lacking: tuple[str, ...] = ()
    if not problems:
        lacking, said = _lacking(path, stored, known)
        problems += said
    if tensors and not problems and (contradicted := contradicted_size(tensors, known)):
        lacking = ("layers",) if contradicted.what == "layers" else ()
        problems.append(contradicted.line)
    kept_wide, tables = count_unreached(tensors, known)
    return Inspection(
        path=path,
        family=known.family,
        model_type=known.model_type,
        parameters=count_parameters(tensors, known.is_tied),
        dtype=commonest_dtype(tensors),
        checkpoint_bytes=sum(tensor.nbytes for tensor in tensors),
        context=known.context,
        layers=known.layers,
        cached_layers=known.cached_layers,
        hidden=known.hidden,
        kv_heads=known.kv_heads,
        head_dim=known.head_dim,
        vocab=known.vocab,
        width=known.intermediate,
        tied=known.is_tied or _is_tied(tensors, known),
        tokenizer=tokenizer,
        shards=shards,
        problems=tuple(problems),
        remote_code=code,
        kept_wide=kept_wide,
        tables=tables,
        transposed=count_expert_weights(tensors) if _turns_experts(tensors, known) else 0,
        skipped_bytes=sum(
            tensor.nbytes for tensor in stored if skipped.get(tensor.name, "prefix") != "prefix"
        ),
        quantisation=known.quantisation,
        lacking=lacking,
    )


def _turns_experts(tensors: list[TensorHeader], known: Architecture) -> bool:
    """Whether the experts are stored as (inputs, outputs), which what reads the hidden values
    tells, or row by row with others (Inkling): they are copied for bf16."""
    if any(one.name.endswith(".experts.w13_weight") for one in tensors):
        return True
    upper = [one for one in tensors if one.name.endswith((".gate_up_proj", ".experts.up_proj"))]
    return known.transposes_experts or any(
        len(one.shape) == 3 and one.shape[1] == known.hidden != one.shape[2] for one in upper
    )


def _lacking(
    path: Path, stored: list[TensorHeader], known: Architecture
) -> tuple[tuple[str, ...], list[str]]:
    """What of the text model is in none of the files, and a line that says so."""
    here = {tensor.name for tensor in stored}
    promised = promised_names(path, {tensor.file.name for tensor in stored}) - here
    others = left_out(promised | here, known)
    needed = sorted(
        name
        for name in promised
        if name not in others
        and not name.endswith(_COMPUTED)
        and not is_unused(name)
        and not (known.is_tied and name.endswith(HEADS))
    )
    if needed:
        shown = ", ".join(needed[:3]) + (", ..." if len(needed) > 3 else "")
        return tuple(needed), [f"no file holds {len(needed)} of the tensors in the index: {shown}"]
    return (), []


def _is_tied(tensors: list[TensorHeader], known: Architecture) -> bool:
    return sum({known.vocab, known.hidden} == set(tensor.shape) for tensor in tensors) == 1


def _shards(path: Path) -> tuple[tuple[Shard, ...], list[TensorHeader], list[str]]:
    shards: list[Shard] = []
    tensors: list[TensorHeader] = []
    problems: list[str] = []
    try:
        names = shard_names(path)
    except CheckpointError as error:
        return (), [], [error.message]
    for name in names:
        file = path / name
        if not file.is_file():
            shards.append(Shard(name, present=False))
            continue
        try:
            tensors += read_file_headers(file)
            shards.append(Shard(name, file.stat().st_size))
        except CheckpointError as error:
            shards.append(Shard(name, file.stat().st_size, problem=error.message))
            problems.append(error.message)
    missing = [shard.name for shard in shards if not shard.present]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        problems.insert(0, f"{len(missing)} of {len(names)} weight files are missing: {shown}")
    return tuple(shards), tensors, problems


def python_files(path: Path) -> dict[str, str]:
    """SHA-256 of each Python file of a folder, by name: what `--remote-code` consents to.

    Raises:
        UserError: one cannot be read.
    """
    found = {}
    for file in sorted(path.glob("*.py")):
        try:
            content = foreign_files.read_bytes(file, MAX_HEADER_BYTES)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror or error}", "remove it") from None
        found[file.name] = hashlib.sha256(content).hexdigest()
    return found
