"""Training: the loop, the compiled step, optimizers, schedules, callbacks, checkpoints, progress."""

from tfkor.training.callbacks import TensorBoard
from tfkor.training.checkpoints import Checkpoints
from tfkor.training.compilation import compiles_each_shape
from tfkor.training.config import ConfigError, TrainingConfig
from tfkor.training.fitting import fine_tune, fit_epochs
from tfkor.training.optimizers import AdamW, Lamb, WarmupDecay, build_optimizer, layer_rates
from tfkor.training.progress import Progress
from tfkor.training.step import InferenceStep, TrainStep
from tfkor.training.trainer import Trainer

__all__ = [
    "AdamW",
    "Checkpoints",
    "ConfigError",
    "InferenceStep",
    "Lamb",
    "Progress",
    "TensorBoard",
    "TrainStep",
    "Trainer",
    "TrainingConfig",
    "WarmupDecay",
    "build_optimizer",
    "compiles_each_shape",
    "fine_tune",
    "fit_epochs",
    "layer_rates",
]
