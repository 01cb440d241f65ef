"""What `duibi models inspect` says of an adapter's folder and of a GGUF file."""

from dataclasses import replace

from tui.checkpoints.gguf_header import GgufHeader, read_header
from tui.cli.support.printing import print_json, table
from tui.host.errors import UserError
from tui.host.paths import expand
from tui.models.adapters import base_folder, read_change
from tui.models.describe import describe_adapter
from tui.models.discover import FoundModel
from tui.models.preview import PREVIEW_TURNS, preview_gguf
from tui.models.reference import Reference, split_base
from tui.text.sanitise import one_line
from tui.text.translation import tr
from tui.text.units import format_size


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
    """What the header of a GGUF file tells, and the prompt that its template makes."""
    header, prompt = None, ("", [0][:0])
    if found.state == "complete":
        header = read_header(found.path)
        try:
            prompt = preview_gguf(found.path)
        except UserError as error:
            found = replace(found, state="damaged", why=error.message)
    if json:
        print_json(found.to_json() | {"prompt": prompt[0], "prompt_ids": prompt[1]})
    else:
        rows = [
            ("file", str(found.path)),
            ("family", found.family),
            ("parameters", f"{found.parameters:,}" if found.parameters else ""),
            ("stored as", _stored_as(found)),
            ("context", f"{found.context:,} tokens" if found.context else ""),
            *_header_rows(header, prompt),
            ("refused", found.why),
            ("verdict", "can be loaded" if found.state == "complete" else ""),
        ]
        print(table([(tr(name), one_line(tr(value))) for name, value in rows if value], gap=" "))
    return 0 if found.state == "complete" else 2


def _stored_as(found: FoundModel) -> str:
    size = format_size(found.size) if found.size else ""
    return ", ".join(filter(None, (found.dtype, size)))


def _header_rows(header: GgufHeader | None, prompt: tuple[str, list[int]]) -> list[tuple[str, str]]:
    if header is None:
        return []
    text, ids = prompt
    return [
        ("name", header.text("general.name")),
        ("parts", str(len(header.files)) if len(header.files) > 1 else ""),
        ("tensors", header.mixture),
        ("remark", header.name_remark),
        ("licence", header.text("general.license") or "the file names none"),
        ("template", repr(text) if text else "" if header.template else "none"),
        ("prompt", f"for {PREVIEW_TURNS[0][1]!r}: {ids}" if ids else ""),
    ]
