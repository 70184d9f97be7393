"""Pretraining: rows and masks from shards, objectives, and the program that trains on them."""

from tfkor.pretraining.batches import PretrainingBatches, Recipe
from tfkor.pretraining.masking import Masking
from tfkor.pretraining.objectives import MaskedLanguageModel, ReplacedTokenDetection
from tfkor.pretraining.run import Phase, Pretraining, Stopped
from tfkor.pretraining.samples import fill_mask, show_predictions

__all__ = [
    "MaskedLanguageModel",
    "Masking",
    "Phase",
    "Pretraining",
    "PretrainingBatches",
    "Recipe",
    "ReplacedTokenDetection",
    "Stopped",
    "fill_mask",
    "show_predictions",
]
