"""How models are trained: optimizers, schedules, the compiled step, progress."""

from tfkor.training.fitting import fit_epochs
from tfkor.training.optimizers import AdamW, WarmupDecay, build_optimizer
from tfkor.training.progress import Progress
from tfkor.training.step import InferenceStep, TrainStep, compiles_each_shape

__all__ = [
    "AdamW",
    "InferenceStep",
    "Progress",
    "TrainStep",
    "WarmupDecay",
    "build_optimizer",
    "compiles_each_shape",
    "fit_epochs",
]
