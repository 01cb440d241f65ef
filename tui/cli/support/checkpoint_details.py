"""What `duibi models inspect` says of an adapter's folder and of a GGUF file."""

from collections.abc import Sequence
from dataclasses import replace

from tui.checkpoints.gguf_header import GgufHeader, read_header
from tui.checkpoints.llama_cpp import is_installed
from tui.cli.support.printing import print_json, table
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models.adapters import base_folder, read_change
from tui.models.describe import describe_adapter
from tui.models.discover import FoundModel
from tui.models.preview import PREVIEW_TURNS, PromptPreview, preview_prompt
from tui.models.reference import Reference, split_base
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.units import format_size
from tui.text.width import text_width


def inspect_adapter(ref: Reference, json: bool) -> int:
    """What an adapter's folder says of itself, and whether its base is here."""
    target, named = split_base(ref.target)
    adapter = read_change(expand(target))
    rows = describe_adapter(adapter, base_folder(adapter, named, target))
    if json:
        print_json(dict(rows))
    else:
        print(table([(tr(name), one_line(tr(value))) for name, value in rows], gap=" "))
    return 0


def inspect_gguf(found: FoundModel, json: bool) -> int:
    """What the header of a GGUF file tells, at once, and then the prompt that its template makes,
    for which llama.cpp reads the vocabulary."""
    header = read_header(found.path) if found.state == "complete" else None
    facts = _shown([*_facts(found), *(_header_rows(header) if header else ())])
    if not json:
        print(table(facts, gap=" "), flush=True)
    prompt: PromptPreview | None = None
    if header and is_installed():
        try:
            prompt = preview_prompt(found.path)
        except UserError as error:
            found = replace(found, state="damaged", why=error.message)
    if json:
        made = prompt or PromptPreview("", [])
        told = {"prompt": made.text, "prompt_ids": made.ids, "remarks": made.remarks}
        print_json(found.to_json() | told)
    else:
        rows = [
            *(_prompt_rows(header, prompt) if header and prompt else ()),
            ("refused", found.why),
            ("verdict", "can be loaded" if found.state == "complete" else ""),
        ]
        width = max(text_width(name) for name, _ in facts)
        print(table(_shown(rows), gap=" ", first=width))
    return 0 if found.state == "complete" else 2


def _shown(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(tr(name), one_line(tr(value))) for name, value in rows if value]


def _facts(found: FoundModel) -> list[tuple[str, str]]:
    size = format_size(found.size) if found.size else ""
    return [
        ("file", str(found.path)),
        ("family", found.family),
        ("parameters", f"{found.parameters:,}" if found.parameters else ""),
        ("stored as", ", ".join(filter(None, (found.dtype, size)))),
        ("context", f"{found.context:,} tokens" if found.context else ""),
    ]


def _header_rows(header: GgufHeader) -> list[tuple[str, str]]:
    return [
        ("name", header.text("general.name")),
        ("parts", str(len(header.files)) if len(header.files) > 1 else ""),
        ("tensors", header.mixture),
        ("remark", header.name_remark),
        ("licence", header.text("general.license") or "the file names none"),
        ("template", "" if header.template else "none"),
    ]


def _prompt_rows(header: GgufHeader, prompt: PromptPreview) -> list[tuple[str, str]]:
    return [
        ("template", repr(prompt.text) if header.template else ""),
        ("prompt", f"for {PREVIEW_TURNS[0][1]!r}: {prompt.ids}"),
        *(("remark", remark) for remark in prompt.remarks),
    ]
