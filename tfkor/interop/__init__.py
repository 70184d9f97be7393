"""Weights of published checkpoints, in and out."""

from tfkor.interop.huggingface import from_huggingface, to_huggingface

__all__ = ["from_huggingface", "to_huggingface"]
