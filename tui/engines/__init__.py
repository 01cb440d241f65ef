"""What a model looks like from outside, wherever it computes."""
