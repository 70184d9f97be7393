"""Files -> texts -> batches, in NumPy; knows nothing of models."""

from tfkor.data.batching import Batches, Buckets, choose_boundaries
from tfkor.data.korean import (
    LABELS_3I4K,
    LABELS_NSMC,
    Intent,
    intents176_intents,
    load_dataset,
    load_intents176,
    read_3i4k,
    read_nsmc,
)
from tfkor.data.regularization import RedrawnBatches, TokenDropout
from tfkor.data.tables import read_table
from tfkor.data.text_data import (
    DataError,
    TextData,
    as_text_data,
    check_labels,
    check_trainable,
    label_array,
    label_names,
)

__all__ = [
    "LABELS_3I4K",
    "LABELS_NSMC",
    "Batches",
    "Buckets",
    "DataError",
    "Intent",
    "RedrawnBatches",
    "TextData",
    "TokenDropout",
    "as_text_data",
    "check_labels",
    "check_trainable",
    "choose_boundaries",
    "intents176_intents",
    "label_array",
    "label_names",
    "load_dataset",
    "load_intents176",
    "read_3i4k",
    "read_nsmc",
    "read_table",
]
