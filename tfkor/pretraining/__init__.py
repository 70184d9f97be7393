"""Pretraining: rows and masks from shards, objectives, and the training run."""

from tfkor.lazy import at_first_use

_MODULES = {
    "MaskedLanguageModel": "tfkor.pretraining.objectives",
    "Masking": "tfkor.pretraining.masking",
    "OBJECTIVES": "tfkor.pretraining.objectives",
    "Phase": "tfkor.pretraining.phases",
    "Pretraining": "tfkor.pretraining.run",
    "PretrainingBatches": "tfkor.pretraining.batches",
    "PretrainingConfig": "tfkor.pretraining.config",
    "Recipe": "tfkor.pretraining.batches",
    "ReplacedTokenDetection": "tfkor.pretraining.objectives",
    "Stopped": "tfkor.pretraining.run",
    "fill_mask": "tfkor.pretraining.samples",
    "make_phases": "tfkor.pretraining.phases",
    "show_predictions": "tfkor.pretraining.samples",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = at_first_use(__name__, _MODULES)
