"""From a folder to a model and its chat format."""
