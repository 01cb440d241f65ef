"""The pages of the documentation, by the names of their files."""

from pathlib import Path

from tui.host import foreign_files, paths

_MAX_BYTES = 1 << 20


def find(lang: str) -> dict[str, Path]:
    """Name -> page; of a page that has a Chinese one that where ``lang`` is ``zh``."""
    folder = paths.bundled("docs")
    # In a checkout the first page stands above the others.
    files = [*folder.glob("*.md"), *folder.parent.glob("README*.md")]
    found = {path.name.removesuffix(".md").lower(): path for path in sorted(files)}
    return {
        name: found.get(f"{name}.zh", path) if lang == "zh" else path
        for name, path in found.items()
        if not name.endswith(".zh")
    }


def read(page: Path) -> str:
    """Its Markdown."""
    return foreign_files.read_text(page, _MAX_BYTES, "install duibi again")


def title(page: Path) -> str:
    """Its first heading."""
    lines = read(page).splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), page.name)
