"""The settings of a command: read, told of where the folder's file has a part in them, and agreed
to where a model needs that."""

from collections.abc import Mapping, Sequence

from tui import settings as settings_of
from tui import trust
from tui.cli.support.download_progress import ask_yes_no, can_ask
from tui.cli.support.printing import tell
from tui.host import splash
from tui.models.column import split_column
from tui.settings import Settings

_told: set[str] = set()
"""What was said of a folder's file: once is enough."""


def load(flags: Mapping[str, object] | None = None, models: Sequence[str] = ()) -> Settings:
    """The settings in force, as `tui.settings.load`, once a person agreed (or not) to what the
    folder's file says of ``models`` (references and aliases) and, where there are models, of
    the settings that the command has ``flags`` for.

    Raises:
        UserError: as `tui.settings.load`; an agreement cannot be kept; nobody agreed to a path that
            a command with models would use.
    """
    found = settings_of.load(flags)
    file = found.folder_file
    if file is None:
        return found
    if str(file.path) not in _told:
        _say(f"duibi: {file}")
    _told.add(str(file.path))
    used = flags if flags and models else ()
    settings = [one for one in file.withheld if one.facts and not one.table and one.name in used]
    named = [split_column(model).model for model in models]
    claims = [*settings, *trust.needed_claims(file, named)]
    if claims and _agree(claims):
        return settings_of.load(flags)
    for claim in settings:
        trust.require_agreed(file, claim)
    return found


def _agree(claims: Sequence[trust.Claim]) -> bool:
    if not can_ask():
        return False
    _say(f"{settings_of.FILE_NAME} came with this folder, and would do what can do harm:")
    for claim in claims:
        _say(f"  {claim}")
    if not ask_yes_no("Agree? You will not be asked again while this stays the same."):
        return False
    for claim in claims:
        claim.agree()
    return True


def ask_for_named(said: str) -> bool:
    """Whether a person agrees to a server or a session that a session names."""
    _say(said)
    return ask_yes_no("Agree? You will not be asked again for this one.")


def _say(line: str) -> None:
    splash.wipe()
    tell(line)
