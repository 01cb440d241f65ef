"""Session files: written, read, followed, replayed, searched."""
