"""What a test needs of the CPU and of the machine to compute with, and what is said without."""

import pytest

from tui.worker.kernels import build
from tui.worker.quant import torch_linear

needs_kernels = pytest.mark.skipif(
    bool(build.unavailable_reason()),
    reason=f"our kernels cannot be had: {build.unavailable_reason()}",
)
needs_bf16 = pytest.mark.skipif(
    not torch_linear.has_bf16(), reason="oneDNN multiplies bfloat16 only with AVX-512"
)
needs_vnni = pytest.mark.skipif(
    not torch_linear.has_vnni(), reason="oneDNN multiplies bytes exactly only with VNNI"
)
