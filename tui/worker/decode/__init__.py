"""From a prompt to tokens: batches, caches, sampling, text."""
