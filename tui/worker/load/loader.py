"""From a folder on the disk to a checkpoint that can be asked, without remote code."""

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.checkpoints.adapter import separates_head
from tui.checkpoints.architecture import Architecture, read_architecture, states_tied
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.weight_headers import HEADS, commonest_dtype
from tui.worker.checkpoint import Checkpoint, ModelSpec, Progress
from tui.worker.load.checkpoint_folder import CheckpointFolder, open_folder
from tui.worker.load.families import ChatFormat, Family, family_of
from tui.worker.load.families.general import find_own_template, read_optional_json

if TYPE_CHECKING:
    from tui.worker.load.deferred import DeferredModel

TEMPLATE_NOT_USED = "its chat format is its own: --chat-template is not used"


def import_the_rest() -> None:
    """Import what torch and transformers import when the first model is made: a tiny one is made,
    without memory. Half a second that workers share which are forked from this process."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, conversion_mapping

    sizes = dict.fromkeys(("vocab_size", "hidden_size", "intermediate_size"), 8)
    config = LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=1)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    # Another version may have other rules.
    if read := getattr(conversion_mapping, "get_model_conversion_mapping", None):
        read(model)


def open_weights(path: Path, dtype: str) -> tuple[CheckpointFolder, Any]:
    """A checked folder and its model, for one that holds no tokenizer.

    Raises:
        CheckpointError: as `open_folder` and `build_model`.
    """
    folder = open_folder(path)
    model = build_model(
        folder, family_of(folder.architecture.family), dtype, lambda done, total: None
    )
    return folder, model


def open_checkpoint(
    path: Path,
    remote_code: Mapping[str, str] | None = None,
    chat_template: str = "",
    adapter: Path | None = None,
) -> Checkpoint:
    """Everything of a checkpoint folder but its weights, which `Checkpoint.build` maps.

    ``remote_code`` holds the SHA-256 of each Python file of the folder that a person has
    agreed to run; without it nothing of the folder is ever run. ``chat_template`` is a Jinja
    source in place of the folder's own, ``adapter`` the folder of a LoRA adapter to be merged or
    of a learned prefix; a chat template that it has goes before the base's.

    Raises:
        CheckpointError: it cannot be used; the message names the reason in one line.
    """
    folder = open_folder(path, adapter)
    family = _family(folder, remote_code or {})
    known = folder.architecture
    notes = folder.notes
    template = chat_template or (find_own_template(adapter) if adapter else "")
    if template and family.template_format:
        words = family.template_format(path, folder.config, known, template)
    else:
        words = family.chat_format(path, folder.config, known)
        notes += (TEMPLATE_NOT_USED,) if chat_template else ()
    return Checkpoint(
        path=path,
        family=family.name,
        architecture=known.name,
        tokenizer=words.tokenizer,
        stop_ids=words.stop_ids,
        context=known.context,
        prompt_format=words.prompt_format,
        parameters=folder.parameters,
        checkpoint_bytes=folder.nbytes,
        kv_values_per_token=2 * known.cached_layers * known.kv_heads * known.head_dim,
        build=partial(build_model, folder, family),
        build_deferred=partial(build_deferred, folder, family),
        stored=commonest_dtype(folder.tensors) or "bf16",
        plain_dtype=folder.plain_dtype,
        model_spec=None if family.is_remote_code else partial(model_spec_of, folder, family),
        new_splitter=words.new_splitter,
        thought=words.thought,
        thought_ending=words.thought_ending,
        sampling_defaults=words.sampling_defaults,
        notes=(*notes, *words.notes),
        adapter=adapter if folder.adapter else None,
        prefix=folder.prefix,
    )


def open_chat_format(path: Path) -> ChatFormat:
    """The text side of a folder that may hold the tokenizer files only.

    Raises:
        CheckpointError: no tokenizer, or none of a known family.
    """
    if not path.is_dir():
        raise CheckpointError("not_found", f"no folder {path}", "check the path")
    config = read_optional_json(path / "config.json")
    known: Architecture | None = None
    if config:
        try:
            known = read_architecture(config)
        except CheckpointError as error:
            if error.cause == "unsupported":
                raise
    name = known.family if known else _family_of_files(path, config)
    return family_of(name).chat_format(path, config, known)


def _family_of_files(path: Path, config: Mapping[str, Any]) -> str:
    """The family that tokenizer files belong to, by the names their publishers gave."""
    if (path / "qwen.tiktoken").is_file():
        return "qwen"
    kind = read_optional_json(path / "tokenizer_config.json").get("tokenizer_class")
    if kind == "ChatGLMTokenizer" or config.get("model_type") == "chatglm":
        return "chatglm3"
    if kind == "BaichuanTokenizer" or config.get("model_type") == "baichuan":
        return "baichuan2"
    return "general"


def _family(folder: CheckpointFolder, remote_code: Mapping[str, str]) -> Family:
    known = folder.architecture
    if known.is_native:
        return family_of(known.family)
    if remote_code:
        from tui.worker.load.remote_code import remote_code_family

        return remote_code_family(folder.path, folder.config, remote_code)
    raise CheckpointError(
        "unsupported",
        f"{folder.path.name} is of type {known.model_type[:40]}, which transformers has no class "
        "for",
        "give --remote-code to run the Python files in its folder, if you trust them"
        if any(folder.path.glob("*.py"))
        else "use a model of a type that transformers knows",
    )


def build_model(folder: CheckpointFolder, family: Family, dtype: str, progress: Progress) -> Any:
    """The model in eval mode on the CPU. In the stored dtype its weights stay views of the
    mapped files; into another they are converted one tensor at a time.

    Raises:
        CheckpointError: tensors that are missing, left over, of another shape, or not
            numbers.
    """
    return _build(folder, family, dtype, progress, is_deferred=False).model


def build_deferred(
    folder: CheckpointFolder, family: Family, dtype: str, progress: Progress
) -> "DeferredModel":
    """As `build_model`, without experts and without what the files hold reduced.

    Raises:
        CheckpointError: as `build_model`.
    """
    return _build(folder, family, dtype, progress, is_deferred=True)


def _build(
    folder: CheckpointFolder, family: Family, dtype: str, progress: Progress, is_deferred: bool
) -> "DeferredModel":
    import torch

    from tui.worker.load import deferred, shards
    from tui.worker.load.adapter_weights import AdapterWeights, with_own_head
    from tui.worker.quant.stored_matrix import join_parts

    wanted = shards.DTYPES.get(dtype)
    if wanted is None:
        raise CheckpointError("unsupported", f"dtype {dtype[:20]!r} is none of bf16, fp16, fp32")
    spec = model_spec_of(folder, family)
    stored = shards.open_tensors(folder.path, folder.nbytes, progress, folder.skipped)
    weights = join_parts(stored, folder.architecture.quantisation)
    adapter = AdapterWeights(folder.adapter) if folder.adapter else None
    if adapter:
        if spec.tied and spec.config.tie_word_embeddings:
            adapter.tie(*spec.tied)
        elif spec.tied:
            weights = with_own_head(weights, *spec.tied)
        weights = adapter.merge(weights)
    named = shards.rename_tensors(weights, family.rules, folder.architecture, wanted)
    sorting = deferred.Deferral(spec.empty, wanted)
    tensors: dict[str, Any] = {}
    for name, lying in adapter.merge(named) if adapter else named:
        weight = sorting.turned(name, lying)
        _refuse_shape(name, weight, spec.shapes)
        if folder.architecture.quantisation and sorting.is_empty_bias(name, weight):
            continue
        tensor = sorting.take(name, weight) if is_deferred else sorting.read(name, weight)
        if tensor is not None:
            tensors[name] = tensor
    if adapter:
        adapter.require_used()
    zeros, experts = sorting.finish()
    if broken := shards.first_not_finite({**tensors, **sorting.scales()}):
        raise CheckpointError(
            "damaged", f"{broken} holds values that are not numbers", "fetch the weights again"
        )
    with torch.no_grad():
        model, info = spec.model_class.from_pretrained(
            None,
            config=spec.config,
            state_dict=tensors | zeros,
            dtype=wanted,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            use_safetensors=None,
        )
    refuse_incomplete(info)
    return deferred.DeferredModel(model.eval(), sorting.matrices, experts)


def model_spec_of(folder: CheckpointFolder, family: Family) -> ModelSpec:
    """What the model is, without memory.

    Raises:
        CheckpointError: config.json makes none.
    """
    try:
        config = family.native_config(folder.config, folder.architecture, folder.path)
        if _has_no_head(folder):
            config.tie_word_embeddings = True
        # Reduced weights are read by this program, not by transformers.
        config.__dict__.pop("quantization_config", None)
        empty = _empty_model(folder, family, config)
        tied = _tied_names(empty) if folder.adapter else None
        if tied and folder.adapter and separates_head(folder.adapter, *tied):
            config.tie_word_embeddings = False
            empty = _empty_model(folder, family, config)
        _refuse_sections(empty)
    except CheckpointError:
        raise
    except ImportError as error:
        raise _unusable(
            error, "pip install 'duibi[remote-code]', or the package it names"
        ) from None
    except Exception as error:  # config classes can raise any exception
        raise _unusable(error, "fetch config.json again") from None
    shapes = {name: tuple(t.shape) for name, t in empty.state_dict().items()}
    return ModelSpec(type(empty), config, shapes, empty, tied)


def _empty_model(folder: CheckpointFolder, family: Family, config: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from tui.worker.load.text_model import causal_class

    with torch.device("meta"):
        if name := folder.architecture.text_model:
            return causal_class(name, folder.architecture.model_type)._from_config(config)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=family.is_remote_code)


def _tied_names(empty: Any) -> tuple[str, str] | None:
    """The names of the weights of the output head and of the table of words, if they are one."""
    head, table = empty.get_output_embeddings(), empty.get_input_embeddings()
    if head is None or table is None or head.weight is not table.weight:
        return None
    names = {id(module): name for name, module in empty.named_modules()}
    return f"{names[id(head)]}.weight", f"{names[id(table)]}.weight"


def _refuse_sections(empty: Any) -> None:
    """Refuse sections of a head's values, one for each kind of position, that are not as many
    together as are turned: known before an answer only by turning some."""
    import torch

    for module in empty.modules():
        section = getattr(module, "mrope_section", None)
        if isinstance(section, list):
            positions = torch.zeros(max(3, len(section)), 1, 1, dtype=torch.long)
            try:
                with contextlib.suppress(TypeError):  # a class that turns layers by their kind
                    type(module)(empty.config)(torch.zeros(1, 1, 1), positions)
            except RuntimeError:
                raise CheckpointError(
                    "damaged", f"config.json: mrope_section cannot be {section}"
                ) from None
            return


def _has_no_head(folder: CheckpointFolder) -> bool:
    """Whether the files hold the embeddings but no output head, and config.json does not say that
    there is one: then the embeddings are the head, whatever the class's default is."""
    said = states_tied(folder.config)
    embeds = any(tensor.name.endswith("embed_tokens.weight") for tensor in folder.tensors)
    heads = any(tensor.name.endswith(HEADS) for tensor in folder.tensors)
    return said is not False and embeds and not heads


def _unusable(error: Exception, next_step: str) -> CheckpointError:
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, KeyError):  # a kind of position scaling, of activation ...
        reason = f"transformers has no rule for {reason}"
    return CheckpointError("unsupported", f"config.json makes no text model: {reason}", next_step)


def _refuse_shape(name: str, view: Any, expected: Mapping[str, tuple[int, ...]]) -> None:
    wanted = expected.get(name)
    if wanted is not None and not isinstance(view, list) and tuple(view.shape) != wanted:
        raise CheckpointError(
            "damaged",
            f"{name} has shape {list(view.shape)}, config.json makes it {list(wanted)}",
            "fetch config.json and the weight files of the same model again",
        )


def refuse_incomplete(info: Mapping[str, Any]) -> None:
    """Raise what is said of transformers' account of a load.

    Raises:
        CheckpointError: tensors are missing, left over or of another shape.
    """
    for key, said in (
        ("missing_keys", "are missing"),
        ("unexpected_keys", "belong to no part of the model"),
        ("mismatched_keys", "have another shape than config.json says"),
        ("error_msgs", "cannot be loaded"),
    ):
        names = sorted(str(n[0] if isinstance(n, tuple) else n) for n in info.get(key) or ())
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise CheckpointError(
                "damaged", f"{len(names)} tensors {said}: {shown}", "fetch the model again"
            )
