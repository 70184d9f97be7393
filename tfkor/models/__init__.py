"""One file for each architecture."""

from tfkor.models.bert import Bert, BertConfig

__all__ = ["Bert", "BertConfig"]
