"""GraphOffsets: `Tokenizer.offsets` as TensorFlow operations, for SavedModels that return offsets into their texts."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfkor.text import characters
from tfkor.text.engines import PublishedSentencePiece, WordPiece
from tfkor.text.engines.sentencepiece import MARK
from tfkor.text.graph.engines import replace_symbols
from tfkor.text.graph.normalization import nfc
from tfkor.text.graph.tokenizer import GraphTokenizer
from tfkor.text.normalization import DOTTED_I, JAMO, SYLLABLE, SYLLABLES, code_ranges, full_width_table, lower_table
from tfkor.text.tokenizer import Tokenizer

BLANK = ord(" ")


class Characters(NamedTuple):
    """The characters of texts, concatenated: their codes, and their offsets in the original texts, all int32 [N].

    Character i comes from those from begin[i] to end[i] of its text; row_splits int64 [B + 1] as in a RaggedTensor.
    """

    codes: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor
    row_splits: tf.Tensor

    @classmethod
    def of(cls, texts: tf.Tensor) -> "Characters":
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        positions = tf.ragged.range(tf.cast(codes.row_lengths(), tf.int32)).values
        return cls(codes.values, positions, positions + 1, codes.row_splits)

    @property
    def rows(self) -> tf.Tensor:
        """int64 [N]: the text of each."""
        return tf.RaggedTensor.from_row_splits(self.codes, self.row_splits).value_rowids()

    @property
    def first(self) -> tf.Tensor:
        """bool [N]: whether a text begins here."""
        rows = self.rows
        return tf.concat([tf.ones_like(rows[:1], tf.bool), rows[1:] != rows[:-1]], 0)

    def texts(self) -> tf.Tensor:
        """string [B]"""
        return tf.strings.unicode_encode(tf.RaggedTensor.from_row_splits(self.codes, self.row_splits), "UTF-8")

    def mapped(self, table: list[int] | np.ndarray) -> "Characters":
        """Each code c as table[c]; those beyond the table stay."""
        codes = tf.gather(tf.constant(table, tf.int32), tf.minimum(self.codes, len(table) - 1))
        return self._replace(codes=tf.where(self.codes < len(table), codes, self.codes))

    def only(self, kept: tf.Tensor) -> "Characters":
        """Those for which `kept`, bool [N], is true."""
        return self.expanded(self.codes[:, None], kept[:, None])

    def expanded(self, codes: tf.Tensor, kept: tf.Tensor) -> "Characters":
        """Each character as several, int32 [N, k], of which those with `kept`, bool [N, k], remain."""
        begin, end = (
            tf.boolean_mask(tf.broadcast_to(x[:, None], tf.shape(kept)), kept) for x in (self.begin, self.end)
        )
        ends = tf.concat([[0], tf.cumsum(tf.reduce_sum(tf.cast(kept, tf.int64), axis=1))], 0)
        return Characters(tf.boolean_mask(codes, kept), begin, end, tf.gather(ends, self.row_splits))

    def spans(self, starts: tf.Tensor, stops: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs of characters, starts[i] to stops[i], int64 [R] -> their begin and end in the texts, int32 [R]."""
        runs = tf.ragged.range(starts, stops)
        return over(runs.value_rowids(), *(tf.gather(x, runs.values) for x in (self.begin, self.end)), runs.nrows())


class GraphOffsets(tf.Module):
    """Strings in, ids and offsets of pieces out, equal to `tokenizer.offsets` of each.

    Offsets count the characters of the original texts, whatever normalisation does to them. Invalid UTF-8 is
    read as U+FFFD. A program that loads a SavedModel with this inside must `import tensorflow_text`.

    Raises:
      ValueError: a tokenizer that TensorFlow has no operations for: it splits morphemes, or has the cleaning "xlnet".
    """

    def __init__(self, tokenizer: Tokenizer, name: str | None = None):
        super().__init__(name=name)
        self.normalizer = tokenizer.normalizer
        self.twin = GraphTokenizer(tokenizer)
        self.published = isinstance(tokenizer.engine, PublishedSentencePiece)
        self.model = None
        if isinstance(tokenizer.engine, WordPiece):
            symbols = set(tokenizer.user_symbols)
            self.lengths = np.array([1 if e in symbols else length_of(e) for e in tokenizer.vocab], np.int64)
        else:
            self.model = tf_text.SentencepieceTokenizer(tokenizer.vocab_file)

    def __call__(self, texts: tf.Tensor) -> list[tf.RaggedTensor]:
        """string [B] -> ids, begin and end of their pieces, three int32 ragged [B, None]."""
        with tf.device("CPU:0"):
            texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
            chars = self.normalized(Characters.of(texts))
            found = self.sentence_pieces(chars) if self.model else self.word_pieces(chars)
            return [tf.RaggedTensor.from_row_splits(values, found[-1]) for values in found[:-1]]

    def normalized(self, chars: Characters) -> Characters:
        """`GraphTokenizer.normalize`, of Characters."""
        options = self.normalizer
        if options.full_width:
            table = full_width_table()
            chars = chars.mapped([table.get(code, code) for code in range(max(table) + 1)])
        if options.max_jamo_repeats:
            chars = shortened(chars, options.max_jamo_repeats)
        if options.nfc:
            chars = composed(chars)
        if self.published:
            return chars
        if options.clean_text:
            chars = chars.only(~inside(chars.codes, characters.REMOVED))
        chars = chars._replace(codes=tf.where(inside(chars.codes, characters.SPACE), BLANK, chars.codes))
        if options.lowercase:
            dotted = chars.codes == ord(DOTTED_I)
            codes = tf.stack([tf.where(dotted, ord("i"), chars.codes), tf.fill(tf.shape(dotted), 0x307)], axis=1)
            chars = chars.expanded(codes, tf.stack([tf.ones_like(dotted), dotted], axis=1))
            chars = chars.mapped(lower_table()[: 1 + int(characters.LOWER.split()[-1].split(":")[1], 16)])
        return as_jamo(chars) if options.alphabet == "jamo" else chars

    # === Pieces: ids, begin, end, all int32 [P], and row_splits ===

    def word_pieces(self, chars: Characters) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        model = self.twin.model
        chars, alone = self.with_symbols(chars) if model.symbols else (chars, tf.zeros_like(chars.codes, tf.bool))
        space = chars.codes == BLANK
        edge = space | alone | inside(chars.codes, characters.ALONE)
        starts = ~space & (edge | chars.first | tf.concat([tf.ones_like(edge[:1]), edge[:-1]], 0))
        starts, chars = tf.boolean_mask(starts, ~space), chars.only(~space)
        total = tf.size(chars.codes, tf.int64)
        edges = tf.concat([tf.where(starts)[:, 0], total[None]], 0)  # of words
        words = tf.strings.unicode_encode(tf.RaggedTensor.from_row_splits(chars.codes, edges), "UTF-8")
        words = tf.where(edges[1:] - edges[:-1] > model.max_word_chars, model.unk_token, words)
        pieces = model.wordpiece.tokenize(words)
        lengths = tf.gather(tf.constant(self.lengths), pieces.values)
        before = tf.cumsum(lengths, exclusive=True)
        word = pieces.value_rowids()
        before += tf.gather(edges, word) - tf.gather(before, tf.gather(pieces.row_starts(), word))
        last = tf.concat([word[1:] != word[:-1], tf.ones_like(word[:1], tf.bool)], 0)
        stops = tf.where(last, tf.gather(edges, word + 1), before + lengths)
        begin, end = chars.spans(before, stops)
        words_before = tf.concat([[0], tf.cumsum(tf.cast(starts, tf.int64))], 0)
        splits = tf.gather(pieces.row_splits, tf.gather(words_before, chars.row_splits))
        return pieces.values, begin, end, splits

    def with_symbols(self, chars: Characters) -> tuple[Characters, tf.Tensor]:
        """Characters with a single one for each user symbol, and bool [N]: which ones these are."""
        model = self.twin.model
        texts = replace_symbols(chars.texts(), model.symbols, model.private, split=False)
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        first = min(map(ord, model.symbols.values()))
        sizes = {ord(char): len(symbol) for symbol, char in model.symbols.items()}
        table = tf.constant([0, *(sizes.get(code, 0) for code in range(first, max(sizes) + 1)), 0], tf.int64)
        size = tf.gather(table, tf.clip_by_value(codes.values - first + 1, 0, len(table) - 1))
        stops = tf.cumsum(tf.maximum(size, 1))
        begin, end = chars.spans(stops - tf.maximum(size, 1), stops)
        return Characters(codes.values, begin, end, codes.row_splits), size > 0

    def sentence_pieces(self, chars: Characters) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        if not self.published:
            chars = single_blanks(chars._replace(codes=tf.where(chars.codes == ord(MARK), BLANK, chars.codes)))
        ids, starts, stops = self.model.tokenize_with_offsets(chars.texts())
        code = chars.codes[:, None]
        sizes = 1 + tf.reduce_sum(tf.cast(code >= [0x80, 0x800, 0x10000], tf.int64), axis=1)  # bytes of UTF-8
        byte_offsets = tf.concat([[0], tf.cumsum(sizes)], 0)
        row_starts = chars.row_splits[:-1]
        rows = ids.value_rowids()
        first_of_row = tf.gather(row_starts, rows)
        row_offsets = tf.gather(byte_offsets, first_of_row)
        start, stop = (
            tf.searchsorted(byte_offsets, tf.cast(x.values, tf.int64) + row_offsets, out_type=tf.int64)
            for x in (starts, stops)
        )
        blank = inside(chars.codes, characters.SPACE + SEPARATORS) if self.published else chars.codes == BLANK
        letters = tf.where(~blank)[:, 0]
        letter = tf.gather(
            tf.concat([letters, [tf.int64.max]], 0), tf.searchsorted(letters, start, out_type=tf.int64)
        )  # the first at or after the start
        alone = tf.maximum(start - 1, first_of_row)  # of a ▁ without a blank
        start = tf.where(stop > start, tf.minimum(letter, stop - 1), alone)
        begin, end = chars.spans(start, tf.maximum(stop, start + 1))
        values = tf.gather(tf.constant(self.twin.model.id_of), ids.values) if self.published else ids.values
        return values, begin, end, tf.cast(ids.row_splits, tf.int64)


SEPARATORS = " 1c-1f"  # str.isspace() holds for these too


def length_of(entry: str) -> int:
    """The characters of an entry, without ##."""
    return len(entry) - 2 if entry.startswith("##") and len(entry) > 2 else len(entry)


def over(segments: tf.Tensor, begin: tf.Tensor, end: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The least begin and the greatest end of each segment."""
    return tf.math.unsorted_segment_min(begin, segments, count), tf.math.unsorted_segment_max(end, segments, count)


def inside(codes: tf.Tensor, table: str) -> tf.Tensor:
    """Codes int32 [N] -> bool [N]: whether a table of characters.py holds them."""
    edges = [edge for first, last in sorted(code_ranges(table)) for edge in (first, last + 1)]
    return tf.searchsorted(tf.constant(edges, tf.int32), codes, side="right") % 2 == 1


def shortened(chars: Characters, repeats: int) -> Characters:
    """Characters whose runs of one jamo have at most so many; the last one spans the rest too."""
    codes = chars.codes
    jamo = (codes >= JAMO[0]) & (codes <= JAMO[1])
    starts = chars.first | ~jamo | tf.concat([tf.ones_like(jamo[:1]), codes[1:] != codes[:-1]], 0)
    run = tf.cumsum(tf.cast(starts, tf.int32)) - 1
    positions = tf.range(tf.size(codes))
    in_run = positions - tf.gather(tf.boolean_mask(positions, starts), run)
    ends = tf.gather(tf.math.unsorted_segment_max(chars.end, run, tf.size(codes)), run)
    chars = chars._replace(end=tf.where(in_run == repeats - 1, ends, chars.end))
    return chars.only(in_run < repeats)


def composed(chars: Characters) -> Characters:
    """NFC of Characters.

    It keeps the order of equal characters. So among the characters that NFD makes of a text, and of its NFC, the n-th
    of a kind is the same in both, which shows what a composed character is made of.
    """
    texts = chars.texts()
    after = nfc(texts, cleaned=False)

    def matched():
        codes = tf.strings.unicode_decode(after, "UTF-8")
        old, old_order = parts_of(chars.codes, chars.rows)
        new, new_order = parts_of(codes.values, codes.value_rowids())
        old, new = tf.gather(old, old_order), tf.gather(new, new_order)
        begin, end = over(new, tf.gather(chars.begin, old), tf.gather(chars.end, old), tf.size(codes.values))
        return Characters(codes.values, begin, end, codes.row_splits)

    return Characters(*tf.cond(tf.reduce_all(after == texts), lambda: tuple(chars), lambda: tuple(matched())))


def parts_of(codes: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The character that each character of the NFD is from, int64 [P], and their order by text, code and position."""
    parts = tf_text.normalize_utf8(tf.strings.unicode_encode(codes[:, None], "UTF-8"), "NFD")
    parts = tf.strings.unicode_decode(parts, "UTF-8")
    origin = parts.value_rowids()
    key = tf.gather(rows, origin) * 0x110000 + tf.cast(parts.values, tf.int64)
    return origin, tf.argsort(key, stable=True)


def as_jamo(chars: Characters) -> Characters:
    """Hangul syllables as two or three conjoining jamo."""
    index = chars.codes - SYLLABLE
    hangul = (index >= 0) & (index < SYLLABLES)
    jamo = [tf.where(hangul, 0x1100 + index // 588, chars.codes), 0x1161 + index % 588 // 28, 0x11A7 + index % 28]
    kept = tf.stack([tf.ones_like(hangul), hangul, hangul & (index % 28 > 0)], axis=1)
    return chars.expanded(tf.stack(jamo, axis=1), kept)


def single_blanks(chars: Characters) -> Characters:
    """Characters without blanks at the ends of texts, and with one between words, the last of several."""
    blank = chars.codes == BLANK
    end = tf.concat([chars.first[1:], tf.ones_like(blank[:1])], 0)
    chars = chars.only(~blank | ~(end | tf.concat([blank[1:], tf.ones_like(blank[:1])], 0)))
    return chars.only((chars.codes != BLANK) | ~chars.first)
