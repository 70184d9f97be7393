"""What the parity tests share."""

import sys

import pytest


@pytest.fixture
def transformers():
    """Hugging Face transformers, with PyTorch, without Triton: its LLVM crashes in a process that has TensorFlow's."""
    sys.modules.setdefault("triton", None)

    def library(name):
        reason = f"compares with {name}, which can't be imported: pip install '.[parity]'"
        return pytest.importorskip(name, reason=reason, exc_type=ImportError)

    library("torch")
    return library("transformers")
