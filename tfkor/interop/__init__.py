"""Published checkpoints, in and out: those of Hugging Face transformers and of google-research."""

from tfkor.interop.folders import Pretrained, load_pretrained, save_huggingface
from tfkor.interop.huggingface import from_huggingface, to_huggingface

__all__ = ["Pretrained", "from_huggingface", "load_pretrained", "save_huggingface", "to_huggingface"]
