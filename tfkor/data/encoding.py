"""Lines of a corpus -> a Shard, as a recipe says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfkor.data import duplicates, sentences
from tfkor.data.corpus import Lines
from tfkor.data.shards import Shard

if TYPE_CHECKING:
    from tfkor.text import Tokenizer

MEGABYTE = 10**6


@dataclass(frozen=True)
class ShardRecipe:
    """All settings that determine the contents of the shards, apart from the input and the tokenizer.

    text_column: the key of the text in JSON lines.
    split_sentences: "none", "rule" or "kiwi", see `sentence_splitter`.
    duplicates: "none", "exact" or "near", the duplicates to drop, see tfkor/data/duplicates.py.
    shard_mb: the size of the text of one shard, in 10**6 bytes of UTF-8.
    """

    text_column: str = "text"
    split_sentences: str = "none"
    duplicates: str = "none"
    shard_mb: float = 16.0

    def __post_init__(self):
        for name, known in (("split_sentences", sentences.METHODS), ("duplicates", duplicates.METHODS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}={getattr(self, name)!r}; expected one of {', '.join(known)}")
        if not self.shard_mb > 0:
            raise ValueError(f"shard_mb is {self.shard_mb}; expected more than 0")

    @property
    def block_bytes(self) -> int:
        return max(1, int(self.shard_mb * MEGABYTE))


def encode_lines(
    lines: Lines,
    tokenizer: "Tokenizer",
    split: Callable[[list[str]], list[list[str]]],
    dropped: Sequence[int] = (),
) -> Shard:
    """Lines of a block -> Shard.

    Args:
      lines: `tfkor.data.corpus.Lines`.
      tokenizer: Tokenizer.
      split: what `sentence_splitter` returned.
      dropped: the numbers of the lines to leave out.

    Sentences without a token and documents without a sentence are left out.
    """
    texts, documents = lines.lines, np.array(lines.documents, np.int64)
    if len(dropped):
        kept = np.ones(len(texts), bool)
        kept[dropped] = False
        texts, documents = [texts[i] for i in np.flatnonzero(kept)], documents[kept]
    found = split(texts)
    documents = np.repeat(documents, [len(of_line) for of_line in found])
    ids, starts = tokenizer.ids_and_eojeols([sentence for of_line in found for sentence in of_line])
    filled = ids.lengths > 0
    splits = np.append(0, np.cumsum(ids.lengths[filled]))
    per_document = np.unique(documents[filled], return_counts=True)[1]
    return Shard(ids.values, starts, splits, np.append(0, np.cumsum(per_document)))
