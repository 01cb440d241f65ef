"""The lines of the models screen."""

from pathlib import Path

from tui.app.screens.model_rows import download_rows
from tui.app.style import themes
from tui.app.style.appearance import Appearance
from tui.app.style.messages import Messages
from tui.host.errors import UserError
from tui.models.downloads import DownloadStatus


def test_why_a_download_failed_is_told_in_the_persons_language() -> None:
    theme = themes.load(Path(themes.__file__).parents[3] / "themes" / "duibi-dark.toml")
    error = UserError("ModelScope (https://modelscope.cn) cannot be reached")
    status = DownloadStatus("ms:Qwen/Qwen3-0.6B", "failed", error=error)
    (line,) = download_rows([status], Appearance(theme, Messages("zh")), 80, 3)
    said = "".join(text for text, _ in line)
    assert said == " ms:Qwen/Qwen3-0.6B  失败：  连不上 ModelScope（https://modelscope.cn）"
