"""Where checkpoints come from: references, discovery, download, removal."""
