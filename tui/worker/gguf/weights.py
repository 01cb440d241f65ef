"""The weights of a GGUF file as a safetensors file, by transformers' own mappings.

transformers' loader takes over half a minute for a model of 135 M parameters: it reads
the vocabulary item by item, maps the names once for every module and needs a further
library. Its tables of names, its undoing of llama.cpp's permutations and its reading of
the metadata are used as they are.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import AutoConfig, AutoModelForCausalLM
from transformers import modeling_gguf_pytorch_utils as stock

from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.ggml_types import BLOCKS, GgmlType
from tui.checkpoints.gguf_header import EMBEDDINGS, HEAD, GgufHeader, GgufTensor
from tui.host.errors import first_line
from tui.worker.checkpoint import Progress
from tui.worker.quant.aligned_safetensors import SafetensorsWriter, TensorSpecs, nbytes

FLOATS = {Type.F32: torch.float32, Type.F16: torch.float16, Type.BF16: torch.bfloat16}
"""The formats that hold plain numbers; all others are quantised."""
_VALUES_PER_ROW = 1 << 18
_AS_PUBLISHED = "leave out the dtype: with the extra gguf the file is computed as published"
_KEYS = {
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
}
"""Of the metadata, that transformers' tables leave out."""
_ODD_LAYERS = {"gemma2": 46, "gemma3": 62}
"""Layers of the models whose attention is scaled by the hidden size over the heads, where that of
others is by the width of a head (llama.cpp, ``LLM_TYPE_27B``)."""
_ONE_TO_ONE_PROCESSORS = (
    stock.TensorProcessor,
    stock.LlamaTensorProcessor,
    stock.Gemma2TensorProcessor,
    stock.NemotronTensorProcessor,
)
"""These make one tensor of one; the others merge experts or look at all tensors."""


@dataclass(frozen=True, slots=True)
class _WeightsMapSource:
    """What the map of names is made from. Given the model itself, transformers makes the
    map again for each of its modules, which takes seconds and adds nothing here."""

    config: Any
    state: dict[str, Any]

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def named_children(self) -> list[tuple[str, Any]]:
        return []


@dataclass(frozen=True, slots=True)
class _TargetModel:
    """The model to be: without memory, but with all names and shapes."""

    fields: dict[str, Any]
    config: Any
    model: Any
    processor: Any

    @property
    def tied(self) -> set[str]:
        """Names that share another tensor and are not stored."""
        keys = getattr(self.model, "_tied_weights_keys", None) or ()
        return set(keys) if self.config.tie_word_embeddings else set()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that are stored."""
        state = self.model.state_dict().items()
        return {name: tuple(value.shape) for name, value in state if name not in self.tied}

    @property
    def is_one_to_one(self) -> bool:
        """Whether each tensor is made of one of the file."""
        return type(self.processor) in _ONE_TO_ONE_PROCESSORS

    def named_config(self, dtype: torch.dtype) -> Any:
        """The configuration with the class and the dtype that it is of."""
        self.config.architectures = [type(self.model).__name__]
        self.config.dtype = dtype
        return self.config


def can_read(kind: GgmlType) -> bool:
    """Whether tensors of a format can be unpacked."""
    if kind in FLOATS:
        return True
    try:
        gguf.dequantize(np.zeros(BLOCKS[kind][1], dtype=np.uint8), Type(kind))
    except (NotImplementedError, ValueError):
        return False
    return True


def write_weights(
    path: Path, header: GgufHeader, target: Path, quantised_dtype: torch.dtype, progress: Progress
) -> Any:
    """Write the weights to ``target``, quantised ones as ``quantised_dtype``, all others in the
    type they have; return the config of transformers.

    Raises:
        CheckpointError: ``unsupported``, or ``damaged`` where shapes contradict the config.
    """
    made = _build_target(path, header)
    if len(header.files) > 1 and not made.is_one_to_one:
        raise CheckpointError(
            "unsupported",
            f"{path.name} is split, and an architecture whose tensors are merged",
            _AS_PUBLISHED,
        )
    if made.is_one_to_one:
        specs, tensors = _one_by_one(path, header, made, quantised_dtype)
    else:
        specs, tensors = _all_at_once(path, made, quantised_dtype)
    wanted = made.shapes
    if missing := sorted(set(wanted) - set(specs)):
        raise CheckpointError(
            "unsupported",
            f"{path.name} has no weights for {', '.join(missing[:3])}",
            "download the file again, or take the model's safetensors checkpoint",
        )
    for name, (_, shape) in specs.items():
        if name not in made.tied and shape != wanted.get(name):
            said = f"{name} has the shape {shape}, its config makes it {wanted.get(name)}"
            raise CheckpointError("damaged", f"{path.name}: {said}", _AS_PUBLISHED)
    _write(target, specs, tensors, progress)
    return made.named_config(quantised_dtype)


def write_shapes(path: Path, header: GgufHeader, target: Path) -> Any:
    """Write the names and shapes of the weights to ``target``, as
    `tui.checkpoints.weight_headers` reads them; return the config of transformers.

    Raises:
        CheckpointError: ``unsupported``.
    """
    made = _build_target(path, header)
    told = {name: {"dtype": "BF16", "shape": list(shape)} for name, shape in made.shapes.items()}
    target.write_text(json.dumps(told), encoding="utf-8")
    return made.named_config(torch.bfloat16)


_TensorStream = tuple[TensorSpecs, Iterator[torch.Tensor]]
"""Type and shape of each tensor by its name, and the tensors in that order."""


def _build_target(path: Path, header: GgufHeader) -> _TargetModel:
    try:
        fields = _config_fields(header)
        fields["tie_word_embeddings"] = header.is_tied
        config = AutoConfig.for_model(**fields)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        make = stock.TENSOR_PROCESSORS.get(header.architecture, stock.TensorProcessor)
        return _TargetModel(fields, config, model, make(config=fields))
    except Exception as error:
        line = first_line(error, 160)
        raise CheckpointError(
            "unsupported",
            f"{path.name}: {line}",
            "take the model's safetensors checkpoint instead",
        ) from error


def _one_by_one(
    path: Path, header: GgufHeader, made: _TargetModel, quantised: torch.dtype
) -> _TensorStream:
    state = made.model.state_dict()
    names = stock.get_gguf_hf_weights_map(_WeightsMapSource(made.config, state), made.processor)
    tensors = _without_a_copy(header)
    chosen = [tensor for tensor in tensors if tensor.name in names]
    if lost := sorted({tensor.name for tensor in tensors} - set(names) - {HEAD}):
        what = f"{path.name} has {lost[0]}, which a converted copy would lose"
        raise CheckpointError("unsupported", what, _AS_PUBLISHED)
    specs = {names[t.name]: (FLOATS.get(t.type, quantised), t.shape) for t in chosen}
    blobs = [np.memmap(file, mode="r", dtype=np.uint8) for file in header.files]

    def values(tensor: GgufTensor) -> torch.Tensor:
        raw = _dequantised(blobs[tensor.part], tensor)
        plain = made.processor.process(weights=raw, name=tensor.name).weights
        return torch.from_numpy(np.ascontiguousarray(plain)).to(specs[names[tensor.name]][0])

    return specs, _prefetch(values, chosen)


def _without_a_copy(header: GgufHeader) -> list[GgufTensor]:
    """The tensors; of embeddings that a file holds a second time as the head the finer ones, under
    the name of the embeddings."""
    tensors = {one.name: one for one in header.tensors}
    head, embeddings = tensors.get(HEAD), tensors.get(EMBEDDINGS)
    if header.is_tied and head and embeddings:
        del tensors[HEAD]
        if head.size > embeddings.size:
            tensors[EMBEDDINGS] = replace(head, name=EMBEDDINGS)
    return list(tensors.values())


def _all_at_once(path: Path, made: _TargetModel, quantised: torch.dtype) -> _TensorStream:
    """The slow way, for architectures whose tensors are merged or split."""
    found = stock.load_gguf_checkpoint(
        str(path), return_tensors=True, model_to_load=made.model, torch_dtype=quantised
    )["tensors"]
    found = {name: value for name, value in found.items() if name not in made.tied}
    specs = {name: (value.dtype, tuple(value.shape)) for name, value in found.items()}
    return specs, iter(found.values())


def _config_fields(header: GgufHeader) -> dict[str, Any]:
    """What transformers makes of the metadata.

    Its reader takes seconds for the vocabulary, which no config needs: it gets a file with
    the same numbers and texts, and of every tensor the name.
    """
    with tempfile.TemporaryDirectory(prefix="duibi-") as folder:
        slim = Path(folder) / "header.gguf"
        writer = gguf.GGUFWriter(slim, header.architecture)
        for key, value in header.metadata.items():
            counted = key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")
            if key == "general.architecture" or key.startswith("GGUF.") or counted:
                continue
            if key.startswith("tokenizer.") and isinstance(value, list | str):
                continue
            match value:
                case bool():
                    writer.add_bool(key, value)
                case int():
                    writer.add_int64(key, value)
                case float():
                    writer.add_float64(key, value)
                case str():
                    writer.add_string(key, value)
                case [_, *_]:
                    writer.add_array(key, value)
        for tensor in header.tensors:
            writer.add_tensor(tensor.name, np.zeros(1, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        fields: dict[str, Any] = stock.load_gguf_checkpoint(str(slim))["config"]
    fields.pop("_model_name_or_path", None)
    words = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(words, int):
        fields.setdefault("vocab_size", words)
    # Its tables leave this out for most architectures, and a class has a number of its own.
    shapes = {one.name: one.shape for one in header.tensors}
    queries, width = shapes.get("blk.0.attn_q.weight", (0,))[0], header.shape.head_dim
    heads = header.number("attention.head_count")
    if width and queries == width * heads:
        fields.setdefault("head_dim", width)
    for name, key in _KEYS.items():
        if told := header.number(key):
            fields.setdefault(name, told)
    if header.architecture in ("gemma2", "gemma3") and heads:
        is_odd = header.shape.layers == _ODD_LAYERS[header.architecture]
        fields["query_pre_attn_scalar"] = header.shape.hidden // heads if is_odd else width
    return fields


def _dequantised(blob: Any, tensor: GgufTensor) -> Any:
    """The tensor's values as a numpy array of fp32."""
    raw = blob[tensor.start : tensor.start + tensor.size]
    if tensor.type == Type.F32:
        return np.array(raw.view(np.float32)).reshape(tensor.shape)
    # The package works through 16 rows at a time, and blocks do not know of rows:
    # long ones keep its loop short.
    block, block_bytes = gguf.GGML_QUANT_SIZES[tensor.type]
    blocks = tensor.elements // block
    width = max(1, _VALUES_PER_ROW // block)
    whole = blocks // width * width
    flat = np.empty(tensor.elements, dtype=np.float32)
    for start, end, columns in ((0, whole, width), (whole, blocks, blocks - whole)):
        if start < end:
            piece = raw[start * block_bytes : end * block_bytes].reshape(-1, columns * block_bytes)
            flat[start * block : end * block] = gguf.dequantize(piece, tensor.type).reshape(-1)
    return flat.reshape(tensor.shape)


def _prefetch(
    work: Callable[[GgufTensor], torch.Tensor], tensors: Iterable[GgufTensor]
) -> Iterator[torch.Tensor]:
    """Results in order, one being made on each thread, and no more of them in memory."""
    threads = max(1, torch.get_num_threads())
    with ThreadPoolExecutor(threads) as pool:
        coming: list[Future[torch.Tensor]] = []
        for tensor in tensors:
            coming.append(pool.submit(work, tensor))
            if len(coming) > threads:
                yield coming.pop(0).result()
        while coming:
            yield coming.pop(0).result()


def _write(
    path: Path, specs: TensorSpecs, tensors: Iterator[torch.Tensor], progress: Progress
) -> None:
    """Write the tensors as they come, in the order of ``specs``."""
    writer = SafetensorsWriter(path, specs, {"format": "pt"})
    done, total = 0, sum(nbytes(*spec) for spec in specs.values())
    progress(done, total)
    for name, tensor in zip(specs, tensors, strict=True):
        writer.write(name, tensor)
        done += tensor.nbytes
        progress(done, total)
    writer.close()
