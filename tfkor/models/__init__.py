"""One file for each architecture."""

from tfkor.models.albert import Albert, AlbertConfig
from tfkor.models.bert import Bert, BertConfig
from tfkor.models.deberta import Deberta, DebertaConfig
from tfkor.models.electra import Electra, ElectraConfig
from tfkor.models.roberta import Roberta, RobertaConfig

__all__ = [
    "Albert",
    "AlbertConfig",
    "Bert",
    "BertConfig",
    "Deberta",
    "DebertaConfig",
    "Electra",
    "ElectraConfig",
    "Roberta",
    "RobertaConfig",
]
