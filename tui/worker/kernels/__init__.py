"""Our compiled kernels."""
