"""How models are trained: optimizers, schedules, the compiled step, checkpoints, progress."""

from tfkor.training.checkpoints import Checkpoints
from tfkor.training.fitting import fine_tune, fit_epochs
from tfkor.training.optimizers import AdamW, Lamb, WarmupDecay, build_optimizer, layer_rates
from tfkor.training.progress import Progress
from tfkor.training.step import InferenceStep, TrainStep, compiles_each_shape

__all__ = [
    "AdamW",
    "Checkpoints",
    "InferenceStep",
    "Lamb",
    "Progress",
    "TrainStep",
    "WarmupDecay",
    "build_optimizer",
    "compiles_each_shape",
    "fine_tune",
    "fit_epochs",
    "layer_rates",
]
