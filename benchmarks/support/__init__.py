"""What benchmarks and tests both need: checkpoints, sessions, servers and terminals."""
