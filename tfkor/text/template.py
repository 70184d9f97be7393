"""Template: how the ids of one text, or of a pair of them, become a row of a model's input."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfkor.text.ragged import Ragged, spans
from tfkor.text.vocabulary import OF_BERT, ROLES, check_special, checked_special_tokens


class Template:
    """Special tokens, and how they are put around texts: [CLS] A [SEP], and [CLS] A [SEP] B [SEP].

    Args:
      vocab: list of str; the id of an entry is its index in the list.
      special_tokens: dict of the roles "pad", "unk", "cls", "sep" and "mask" -> entries of the vocabulary; a role that
        the vocabulary has no token for is left out. None: [PAD] [UNK] [CLS] [SEP] [MASK].
      pair_separators: the number of [SEP] between the texts of a pair: 1, or 2 as in RoBERTa.
      source: names the vocabulary in errors.

    Attributes:
      special_tokens, ids: dicts from the roles that the vocabulary has to their tokens, and to the ids of these.

    Raises:
      ValueError: a special token that the vocabulary doesn't hold.
    """

    def __init__(
        self,
        vocab: Sequence[str],
        special_tokens: Mapping[str, str] | None = None,
        pair_separators: int = 1,
        source: object = "vocab",
    ):
        if type(pair_separators) is not int or pair_separators not in (1, 2):
            raise ValueError(f"pair_separators is {pair_separators!r}; expected 1 or 2")
        tokens = checked_special_tokens(special_tokens)
        check_special(vocab, tokens.values(), source)
        self.special_tokens = {role: tokens[role] for role in ROLES if role in tokens}
        self.ids = {role: vocab.index(token) for role, token in self.special_tokens.items()}
        self.pair_separators = pair_separators

    @property
    def config(self) -> dict:
        """Its part of tokenizer_config.json: what differs from BERT's template."""
        config = {} if self.special_tokens == OF_BERT else {"special_tokens": self.special_tokens}
        return config if self.pair_separators == 1 else {**config, "pair_separators": self.pair_separators}

    def required(self, role: str, what: str) -> int:
        """The id of a special token; where there is none, a ValueError that names `what` needs it."""
        if role not in self.ids:
            raise ValueError(
                f"{what} needs a {role} token, but special_tokens has {', '.join(self.ids) or 'none'}; expected "
                f'"{role}" among them: special_tokens={{"{role}": ...}} names an entry of the vocabulary'
            )
        return self.ids[role]

    def pack(self, first: Ragged, second: Ragged | None = None, max_length: int = 128) -> tuple[Ragged, Ragged]:
        """[CLS] first [SEP], or [CLS] first [SEP] second [SEP]; see `Tokenizer.pack`."""
        cls_id, sep_id = (self.required(role, "pack") for role in ("cls", "sep"))
        gap = self.pair_separators
        capacity = max_length - (2 if second is None else 2 + gap)
        if capacity < 0:
            least = max_length - capacity
            raise ValueError(f"max_length is {max_length}; expected at least {least}, for [CLS] and [SEP]")
        kept = np.minimum(first.lengths, capacity)
        if second is not None:
            if len(first.row_splits) != len(second.row_splits):
                raise ValueError(f"{len(first.lengths)} texts but {len(second.lengths)} pairs; expected as many")
            kept_second = np.minimum(second.lengths, np.maximum(capacity // 2, capacity - first.lengths))
            kept = np.minimum(first.lengths, capacity - kept_second)
        lengths = kept + 2 + (0 if second is None else kept_second + gap)
        splits = np.append(0, np.cumsum(lengths))
        values, segments = np.full(splits[-1], sep_id, np.int32), np.zeros(splits[-1], np.int32)
        values[splits[:-1]] = cls_id
        values[spans(splits[:-1] + 1, kept)] = first.values[spans(first.row_splits[:-1], kept)]
        if second is not None:
            start = splits[:-1] + kept + 1 + gap
            values[spans(start, kept_second)] = second.values[spans(second.row_splits[:-1], kept_second)]
            segments[spans(start, kept_second + 1)] = 1
        return Ragged(values, splits), Ragged(segments, splits)

    def pad(self, ids: Ragged, segments: Ragged, pad_to: int | None = None) -> dict[str, np.ndarray]:
        """Rows of `pack` -> dict of int32 [B, S]: input_word_ids, input_mask, segment_ids; see `Tokenizer`."""
        pad_id = self.required("pad", "padding")
        longest = int(ids.lengths.max(initial=0))
        columns = longest if pad_to is None else pad_to
        if columns < longest:
            raise ValueError(f"pad_to is {pad_to}, but a row has {longest} ids; expected pad_to >= max_length")
        mask = np.arange(columns) < ids.lengths[:, None]
        out = {name: np.zeros(mask.shape, np.int32) for name in ("input_word_ids", "input_mask", "segment_ids")}
        out["input_word_ids"][:] = pad_id
        out["input_word_ids"][mask] = ids.values
        out["input_mask"][mask] = 1
        out["segment_ids"][mask] = segments.values
        return out
