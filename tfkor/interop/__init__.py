"""Published checkpoints, in and out: those of Hugging Face transformers and of google-research."""

from tfkor.interop.folders import load_pretrained, save_huggingface
from tfkor.interop.huggingface import from_huggingface, to_huggingface
from tfkor.interop.tasks import load_task, save_task
from tfkor.models.folder import Pretrained

__all__ = [
    "Pretrained",
    "from_huggingface",
    "load_pretrained",
    "load_task",
    "save_huggingface",
    "save_task",
    "to_huggingface",
]
