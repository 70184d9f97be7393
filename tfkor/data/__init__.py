"""Files -> texts -> batches, in NumPy, independent of any model."""

from tfkor.data.batching import Batches, Buckets, choose_boundaries
from tfkor.data.dialogues import DialogueData, read_klue_wos, read_ontology
from tfkor.data.encoding import ShardRecipe, encode_lines
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
from tfkor.data.sentences import sentence_splitter, split_by_rule
from tfkor.data.shards import Shard, ShardFolder, join_shards, write_manifest, write_shard
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
from tfkor.data.tfrecord import read_tfrecords, write_tfrecords

__all__ = [
    "LABELS_3I4K",
    "LABELS_NSMC",
    "Batches",
    "Buckets",
    "DataError",
    "DialogueData",
    "Intent",
    "RedrawnBatches",
    "Shard",
    "ShardFolder",
    "ShardRecipe",
    "TextData",
    "TokenDropout",
    "as_text_data",
    "check_labels",
    "check_trainable",
    "choose_boundaries",
    "encode_lines",
    "intents176_intents",
    "join_shards",
    "label_array",
    "label_names",
    "load_dataset",
    "load_intents176",
    "read_3i4k",
    "read_klue_wos",
    "read_nsmc",
    "read_ontology",
    "read_table",
    "read_tfrecords",
    "sentence_splitter",
    "split_by_rule",
    "write_manifest",
    "write_shard",
    "write_tfrecords",
]
