"""Training: the loop, the compiled step, optimizers, schedules, callbacks, checkpoints, progress."""

from tfkor.lazy import at_first_use

_MODULES = {
    "AdamW": "tfkor.training.optimizers",
    "Checkpoints": "tfkor.training.checkpoints",
    "ConfigError": "tfkor.training.config",
    "InferenceStep": "tfkor.training.step",
    "Lamb": "tfkor.training.optimizers",
    "Progress": "tfkor.training.progress",
    "TensorBoard": "tfkor.training.callbacks",
    "TrainStep": "tfkor.training.step",
    "Trainer": "tfkor.training.trainer",
    "TrainingConfig": "tfkor.training.config",
    "WarmupDecay": "tfkor.training.optimizers",
    "build_optimizer": "tfkor.training.optimizers",
    "compiles_each_shape": "tfkor.training.compilation",
    "fine_tune": "tfkor.training.fitting",
    "fit_epochs": "tfkor.training.fitting",
    "layer_rates": "tfkor.training.optimizers",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = at_first_use(__name__, _MODULES)
