"""What a checkpoint on disk is: its architecture, its weights, what is cached of it."""
