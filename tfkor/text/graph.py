"""GraphTokenizer: the Tokenizer as TensorFlow operations, to stand in a SavedModel in front of a model."""

import tensorflow as tf
import tensorflow_text as tf_text

from tfkor.text import characters
from tfkor.text.normalization import DOTTED_I, JAMO, code_ranges, full_width_table, lower_table

UNIT = "UTF8_CHAR"  # of a word's length; bytes would make 34 syllables a word too long
GUARD, NUL = "\x00\x01", "\x00\x02"  # put around what NFC must not touch; a NUL of the text itself meanwhile


class GraphTokenizer(tf.Module):
    """Strings in, the inputs of a model out, with the ids that `tokenizer` gives.

    Invalid UTF-8 is read as U+FFFD. What loads a SavedModel with this inside must `import tensorflow_text`.

    >>> inputs = GraphTokenizer(tokenizer, max_length=128)(tf.constant(["한국어를 공유합니다."]))

    Args:
      tokenizer: a Tokenizer.
      max_length: longer rows are cut, see `Tokenizer.pack`.
      pad_to: the number of columns; None: as many as the longest row has.
    """

    def __init__(self, tokenizer, max_length=128, pad_to=None, name=None):
        super().__init__(name=name)
        if max_length < 3:
            raise ValueError(f"max_length is {max_length}; expected at least 3, for [CLS] and [SEP] and [SEP]")
        if pad_to is not None and pad_to < max_length:
            raise ValueError(f"pad_to is {pad_to}; expected at least max_length, {max_length}")
        self.max_length, self.pad_to = max_length, pad_to
        self.pad_id, self.cls_id, self.sep_id = tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id
        self.normalizer, self.max_word_chars = tokenizer.normalizer, tokenizer.max_word_chars
        self.unk_token = tokenizer.vocab[tokenizer.unk_id]
        try:
            self.wordpiece = tf_text.FastWordpieceTokenizer(
                tokenizer.vocab,
                token_out_type=tf.int32,
                unknown_token=self.unk_token,
                no_pretokenization=True,
                max_bytes_per_word=4 * max(self.max_word_chars, len(self.unk_token)),
            )
        except RuntimeError as error:  # 2.20.0 fails on most vocabularies (tensorflow/text issue 1462)
            raise ValueError(f"tensorflow_text {tf_text.__version__} can't build this vocabulary: {error}") from error

    def __call__(self, texts, pairs=None):
        """string [B], and string [B] or None -> dict of int32 [B, S]: input_word_ids, input_mask, segment_ids."""
        with tf.device("CPU:0"):
            first = self.ids(texts)
            second = None if pairs is None else self.ids(pairs)
            return self.pack(first, second)

    def ids(self, texts):
        """string [B] -> int32 ragged [B, None], without [CLS] and [SEP]."""
        words = tf.strings.split(self.normalize(texts))
        too_long = tf.strings.length(words.values, UNIT) > self.max_word_chars
        words = words.with_values(tf.where(too_long, self.unk_token, words.values))
        return self.wordpiece.tokenize(words).merge_dims(1, 2)

    def normalize(self, texts):
        """string [B] -> string [B], normalised, with a blank around each word."""
        options = self.normalizer
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if options.full_width:
            table = full_width_table()
            texts = _map_characters(texts, [table.get(code, code) for code in range(max(table) + 1)])
        if options.max_jamo_repeats:
            texts = _shorten(texts, options.max_jamo_repeats)
        if options.nfc:
            texts = _nfc(texts, cleaned=options.clean_text)
        if options.clean_text:
            texts = tf.strings.regex_replace(texts, _any_of(characters.REMOVED), "")
        texts = tf.strings.regex_replace(texts, _any_of(characters.SPACE, above=0x7F), " ")
        texts = tf.strings.regex_replace(texts, _any_of(characters.ALONE), r" \0 ")
        if options.lowercase:
            texts = tf.strings.regex_replace(texts, DOTTED_I, "i\u0307")
            texts = _map_characters(texts, lower_table()[: 1 + int(characters.LOWER.split()[-1].split(":")[1], 16)])
        return texts

    def pack(self, first, second=None):
        """`Tokenizer.pack` and the padding, for int32 ragged [B, None] ids."""
        rows = first.nrows()
        cls, sep = (tf.fill([rows, 1], tf.constant(i, tf.int32)) for i in (self.cls_id, self.sep_id))
        room = tf.constant(self.max_length - (2 if second is None else 3), tf.int64)
        lengths = first.row_lengths()
        if second is None:
            kept = tf.minimum(lengths, room)
            ids = tf.concat([cls, _first_of_rows(first, kept), sep], axis=1)
        else:
            kept_second = tf.minimum(second.row_lengths(), tf.maximum(room // 2, room - lengths))
            kept = tf.minimum(lengths, room - kept_second)
            ids = [cls, _first_of_rows(first, kept), sep, _first_of_rows(second, kept_second), sep]
            ids = tf.concat(ids, axis=1)
        word_ids = ids.to_tensor(self.pad_id, shape=[None, self.pad_to])
        columns = tf.range(tf.shape(word_ids, tf.int64)[1])
        mask = columns < ids.row_lengths()[:, None]
        segments = mask & (columns >= kept[:, None] + 2) if second is not None else tf.zeros_like(mask)
        return {
            "input_word_ids": word_ids,
            "input_mask": tf.cast(mask, tf.int32),
            "segment_ids": tf.cast(segments, tf.int32),
        }


def _first_of_rows(ragged, lengths):
    """The first ids of each row, as many as `lengths` says."""
    starts = ragged.row_starts()
    places = tf.ragged.range(starts, starts + lengths)
    return places.with_values(tf.gather(ragged.values, places.values))


def _any_of(table, above=-1):
    """The regular expression of RE2 for a table in characters.py, or for its ranges above a code point."""
    ranges = [f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in code_ranges(table) if first > above]
    return f"[{''.join(ranges)}]"


def _map_characters(texts, table):
    """Replaces each code point c by table[c]; those beyond the table stay."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    mapped = tf.gather(tf.constant(table, tf.int32), tf.minimum(codes.values, len(table) - 1))
    mapped = tf.where(codes.values < len(table), mapped, codes.values)
    return tf.strings.unicode_encode(codes.with_values(mapped), "UTF-8")


def _shorten(texts, repeats):
    """Cuts runs of one jamo. RE2 has no back references, but nine groups in a replacement."""
    jamo = [chr(code) for code in range(JAMO[0], JAMO[1] + 1)]
    for start in range(0, len(jamo), 9):
        some = jamo[start : start + 9]
        runs = "|".join(f"({char}{{{repeats}}}){char}+" for char in some)
        texts = tf.strings.regex_replace(texts, runs, "".join(f"\\{i}" for i in range(1, len(some) + 1)))
    return texts


def _nfc(texts, cleaned):
    """NFC as Hugging Face's, which knows fewer characters than ICU: a GUARD on both sides keeps ICU from these.

    Cleaning removes the guards with the other control characters; without it they are told from the text's own.
    """
    if not cleaned:
        texts = tf.strings.regex_replace(texts, r"\x00", NUL)
    texts = tf.strings.regex_replace(texts, _any_of(characters.NFC_NEWER), f"{GUARD}\\0{GUARD}")
    texts = tf_text.normalize_utf8(texts, "NFC")
    if not cleaned:
        texts = tf.strings.regex_replace(texts, r"\x00\x01", "")
        texts = tf.strings.regex_replace(texts, r"\x00\x02", "\x00")
    return texts
