"""Tests that only a GPU can pass: there is no stand-in that computes on a device of its own."""

import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
