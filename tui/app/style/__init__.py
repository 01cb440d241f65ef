"""Themes, messages in two languages, bars drawn with blocks."""
