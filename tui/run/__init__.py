"""A run: what is loaded when, who is asked what, and what is written down."""
