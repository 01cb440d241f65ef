"""What measures speed, each a command: ``python -m benchmarks.NAME``. Never a timed test."""
