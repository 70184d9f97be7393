"""Pretraining: rows and masks from shards, objectives, and the training run."""

from tfkor.pretraining.batches import PretrainingBatches, Recipe
from tfkor.pretraining.config import PretrainingConfig
from tfkor.pretraining.masking import Masking
from tfkor.pretraining.objectives import OBJECTIVES, MaskedLanguageModel, ReplacedTokenDetection
from tfkor.pretraining.phases import Phase, make_phases
from tfkor.pretraining.run import Pretraining, Stopped
from tfkor.pretraining.samples import fill_mask, show_predictions

__all__ = [
    "OBJECTIVES",
    "MaskedLanguageModel",
    "Masking",
    "Phase",
    "Pretraining",
    "PretrainingBatches",
    "PretrainingConfig",
    "Recipe",
    "ReplacedTokenDetection",
    "Stopped",
    "fill_mask",
    "make_phases",
    "show_predictions",
]
