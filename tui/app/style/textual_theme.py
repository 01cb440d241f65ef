"""Our themes as Textual has them, for its style sheets and its own widgets."""

from textual.theme import BUILTIN_THEMES
from textual.theme import Theme as TextualTheme

from tui.app.style.themes import ROLES, Theme


def css_variables(theme: Theme) -> dict[str, str]:
    """The colours of a theme as the variables of our own style sheets."""
    return {f"duibi-{role.replace('_', '-')}": theme.css(role) for role in ROLES}


def textual_theme(theme: Theme) -> TextualTheme:
    """The theme for Textual's own widgets: prompt, palette, notices. Its style sheets need
    the variables of its themes for native terminal colours."""
    given = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"].variables
    plain = {role: theme.css(role) for role in ROLES}
    return TextualTheme(
        name=theme.name,
        dark=theme.dark,
        primary=plain["accent"],
        secondary=plain["accent"],
        accent=plain["accent"],
        warning=plain["warn"],
        error=plain["bad"],
        success=plain["good"],
        foreground=plain["text"],
        background=plain["background"],
        surface=plain["panel"],
        panel=plain["panel"],
        variables=given
        | css_variables(theme)
        | {
            "block-cursor-background": plain["cursor"],
            "block-cursor-foreground": plain["cursor_text"],
            "input-cursor-background": plain["accent"],
            "input-selection-background": plain["cursor"],
        },
        ansi=True,
    )
