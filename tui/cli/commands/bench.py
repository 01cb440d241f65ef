"""``duibi bench``: what a model costs on this machine, measured on the ordinary path."""

import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from tui.checkpoints.architecture import read_architecture
from tui.checkpoints.errors import CheckpointError
from tui.checkpoints.gguf_header import read_header
from tui.checkpoints.llama_cpp import PUBLISHED
from tui.checkpoints.weight_files import weight_files
from tui.checkpoints.weight_headers import read_json
from tui.cli.support import machine_speed, options, settings_in_force
from tui.cli.support.printing import heads, load_line, print_json, table, tell, told_stage
from tui.engines import standard_measure
from tui.engines.base import EngineError
from tui.engines.local import LocalEngine
from tui.engines.standard_measure import MeasureStopped
from tui.events import Body, Failed, Loaded
from tui.host import cpu, extras, format_speeds, page_cache, paths
from tui.host.errors import EXIT_FAILED, UserError
from tui.models.conversion import disk_remark
from tui.models.resolved import LOCAL, ResolvedModel
from tui.run.result_notes import disturbed_note
from tui.text.translation import tr
from tui.text.units import format_size

app = typer.Typer(add_completion=False)

_BYTES_READ_PER_WEIGHT = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0, "int4": 0.5625}
"""Bytes of memory read for each weight and token."""
_COLD_SHARE = 0.01
_TORCH_DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Medians over the repeats. Tokens per second, milliseconds, bytes, seconds.

    ``file_cache`` is the part (0 to 1) of the weights' files that was in memory when the load
    began, None if not known; ``read_bytes_s`` is what the device reads from its memory at best,
    None if not known.
    ``decode_tok_s`` is of one answer, ``all_tok_s`` of all answers of the batch together,
    prefill included; ``bytes_read`` are the weights that every step reads, once for all.
    ``contended``: an answer lost cores, ``contended_by`` says to whom; ``load_contended_by`` who
    had cores of the load, empty where nobody did.
    """

    model: str
    device: str
    kernels: str
    batch: int
    threads: int
    prompt_tokens: int
    new_tokens: int
    prefill_tok_s: float
    decode_tok_s: float
    all_tok_s: float
    ttft_ms: float
    load_s: float
    file_cache: float | None
    peak_private: int
    peak_mapped: int
    bytes_read: int
    read_bytes_s: float | None
    notes: list[str]
    contended: bool = False
    contended_by: str = ""
    load_contended_by: str = ""

    @property
    def bandwidth_share(self) -> float | None:
        """Bytes of weights read per second in decoding over what the device reads at best; None
        where that is not known."""
        if self.read_bytes_s is None:
            return None
        return self.decode_tok_s * self.bytes_read / self.read_bytes_s


@app.command(help="Measure prefill, decode, load and memory of models on this machine.")
@options.with_settings("lookup", "cold", "as_json", "yes")
def bench(
    flags: dict[str, object],
    models: options.Models = None,
    prompt: Annotated[int, typer.Option(min=16, metavar="TOKENS", help="Of the prompt.")] = 256,
    new: Annotated[int, typer.Option(min=2, metavar="TOKENS", help="Of the answer.")] = 64,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="Measure N times.")] = 5,
    batch: Annotated[str, typer.Option(metavar="N,N", help="Answers decoded together.")] = "1,8",
    cold: Annotated[
        bool, typer.Option("--cold", help="Load from the disk, not from the file cache.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    yes: options.Yes = False,
) -> int:
    if not models:
        raise UserError("which models?", "e.g. `duibi bench demo@int8 demo@bf16`")
    sizes = _batch_sizes(batch)
    found = options.resolve_models(models, settings_in_force.load({}, models), yes)
    if elsewhere := next((one for one in found if one.engine != LOCAL), None):
        raise UserError(f"{elsewhere.label} is not computed here", "name a model of this machine")
    limits: dict[str, float | None] = {}
    results, cores = [], machine_speed.free_cores()
    for model in found:
        if cold:
            page_cache.drop(weight_files(model.checkpoint, model.dtype))
        if told := disk_remark(model):
            tell(told)
        tell(f"{model.label}: loading")
        with _loaded_engine(model, cores, max(sizes), bool(flags["lookup"])) as (engine, loaded):
            if told := load_line(loaded):
                tell(f"{model.label}: {told}")
            if loaded.device not in limits:
                # torch measures it; llama.cpp computes without, and on GPUs with names of its own.
                has_torch = not extras.missing(extras.LOCAL) and loaded.device in _TORCH_DEVICES
                limits[loaded.device] = (
                    machine_speed.bandwidth(cores, loaded.device) if has_torch else None
                )
            limit = limits[loaded.device]
            for answers in sizes:
                made = _measure(model, loaded, limit, engine, (prompt, new), answers, repeat)
                tell(f"{model.label}: batch {answers} measured")
                results.append(made)
        speeds = {one.batch: one.all_tok_s for one in results if one.model == model.label}
        _say_slow_batches(model, speeds)
        if cores == cpu.cores() and loaded.device == "cpu":
            spoilt = {one.batch for one in results if one.contended and one.model == model.label}
            if calm := {size: speeds[size] for size in speeds.keys() - spoilt}:
                _keep_batches(model, loaded, calm)
    if as_json:
        rows = [asdict(one) | {"bandwidth_share": one.bandwidth_share} for one in results]
        print_json({"results": rows})
    else:
        print(table([heads(*_HEAD), *map(_row, results)]))
        if any(one.contended or one.load_contended_by for one in results):
            by = {by for one in results for by in (one.contended_by, one.load_contended_by)}
            tell(disturbed_note(by))
        for device, limit in limits.items():
            if limit is not None:
                tell(f"this machine reads {limit / 1e9:.1f} GB/s ({device})")
        for note in dict.fromkeys(f"{one.model}: {n}" for one in results for n in one.notes):
            tell(note)
    return 0


def _keep_batches(model: ResolvedModel, loaded: Loaded, found: Mapping[int, float]) -> None:
    """Keep how fast batches of a model are on a machine at rest, for the plans of runs."""
    known, key = format_speeds.read(), format_speeds.model_key(loaded.parameters, model.dtype)
    batches = {**known.batches, key: {**known.batches.get(key, {}), **found}}
    format_speeds.keep(replace(known, batches=batches))


def _say_slow_batches(model: ResolvedModel, found: Mapping[int, float]) -> None:
    """Say which batches of a model are of no use; ``found``: tokens a second of each."""
    for size in found:
        if size > 1 and found[size] < found.get(1, 0.0):
            told = f"{size} answers together take longer than one after another: use --batch 1"
            tell(f"{model.label}: {told}")


_HEAD = (
    *(
        "MODEL",
        "DEVICE",
        "KERNELS",
        "BATCH",
        "PROMPT",
        "PREFILL tok/s",
        "DECODE tok/s",
        "ALL tok/s",
        "TTFT ms",
    ),
    *("LOAD s", "FILE CACHE", "PRIVATE", "MAPPED", "BANDWIDTH"),
)


def _row(one: BenchResult) -> tuple[str, ...]:
    mark, load_mark = "*" * one.contended, "*" * bool(one.load_contended_by)
    speeds = (one.prefill_tok_s, one.decode_tok_s, one.all_tok_s)
    return (
        *(one.model, one.device, one.kernels or "-", str(one.batch), str(one.prompt_tokens)),
        *(f"{speed:.1f}{mark}" for speed in speeds),
        *(f"{one.ttft_ms:.0f}{mark}", f"{one.load_s:.1f}{load_mark}"),
        _file_cache_text(one.file_cache),
        *(
            format_size(one.peak_private),
            format_size(one.peak_mapped),
            "-" if one.bandwidth_share is None else f"{one.bandwidth_share:.0%}{mark}",
        ),
    )


def _file_cache_text(cached: float | None) -> str:
    """How much of the weights' files was in memory before the load, in a word."""
    if cached is None:
        return "?"
    return tr("cold") if cached < _COLD_SHARE else f"{cached:.0%}"


def _batch_sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= one <= 64 for one in sizes):
        raise UserError(f"--batch: {text!r} is no list of numbers from 1 to 64", "e.g. 1,4,8")
    return sizes


@contextmanager
def _loaded_engine(
    model: ResolvedModel, cores: int, batch: int, lookup: bool
) -> Iterator[tuple[LocalEngine, Loaded]]:
    engine = LocalEngine(
        model.checkpoint,
        model.dtype,
        cores,
        paths.log_file().with_name("bench.log"),
        model.context or None,
        remote_code=model.remote_code,
        batch=batch,
        lookup=lookup,
    )
    try:
        yield engine, engine.load(lambda t_ns, body: _say_stage(model, body))
    except EngineError as error:
        raise UserError(f"{model.label}: {error.message}", error.next_step, 1) from None
    finally:
        engine.close()


def _say_stage(model: ResolvedModel, body: Body) -> None:
    if told := told_stage(body):
        tell(f"{model.label}: {told}")


def _measure(
    model: ResolvedModel,
    loaded: Loaded,
    limit: float | None,
    engine: LocalEngine,
    tokens: tuple[int, int],
    answers: int,
    repeat: int,
) -> BenchResult:
    """Answers of ``tokens`` (prompt, new), so many at once and so often."""
    try:
        standard_measure.run_round(engine, tokens[0], 2, answers)
        rounds = [standard_measure.run_round(engine, *tokens, answers) for _ in range(repeat)]
    except MeasureStopped as stopped:
        why = stopped.failure or Failed("cancelled", "the measure was stopped")
        raise UserError(f"{model.label}: {why.message}", why.next_step, EXIT_FAILED) from None
    every = [one for each in rounds for one in each.answers]
    seen = standard_measure.summarise(every, loaded)
    return BenchResult(
        model=model.label,
        device=loaded.device,
        kernels=loaded.kernels,
        batch=answers,
        threads=seen.threads,
        prompt_tokens=seen.prompt_tokens,
        new_tokens=seen.output_tokens,
        prefill_tok_s=seen.prefill_tok_s or 0.0,
        decode_tok_s=seen.decode_tok_s or 0.0,
        all_tok_s=statistics.median(
            sum(one.output_tokens for one in each.answers) / each.seconds for each in rounds
        ),
        ttft_ms=seen.ttft_ms or 0.0,
        load_s=loaded.load_s,
        file_cache=loaded.file_cache,
        peak_private=seen.peak_private,
        peak_mapped=seen.peak_mapped,
        bytes_read=_bytes_per_step(model, loaded),
        read_bytes_s=limit,
        notes=loaded.notes,
        contended=seen.contended,
        contended_by=seen.contended_by,
        load_contended_by=loaded.contended_by if loaded.contended else "",
    )


def _bytes_per_step(model: ResolvedModel, loaded: Loaded) -> int:
    if model.dtype == PUBLISHED:
        return read_header(model.checkpoint).bytes_per_token
    return round(_BYTES_READ_PER_WEIGHT[model.dtype] * _weights_per_step(model, loaded))


def _weights_per_step(model: ResolvedModel, loaded: Loaded) -> int:
    """Weights that a step reads: all but an embedding that is not the head as well."""
    try:
        config = read_json(Path(model.checkpoint) / "config.json")
        known = read_architecture(config)
    except (OSError, CheckpointError):
        return loaded.parameters
    if config.get("tie_word_embeddings"):
        return loaded.parameters
    return loaded.parameters - known.vocab * known.hidden


command = typer.main.get_command(app)
