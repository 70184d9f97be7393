"""GraphTokenizer: the Tokenizer as TensorFlow operations, to stand in a SavedModel in front of a model."""

import itertools
import re

import tensorflow as tf
import tensorflow_text as tf_text

from tfkor.text import characters
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import (
    DOTTED_I,
    JAMO,
    SYLLABLE,
    SYLLABLES,
    code_ranges,
    full_width_table,
    lower_table,
)
from tfkor.text.sentencepiece import MARK

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
      pre_split: must be True for a tokenizer that splits morphemes, for which TensorFlow has no operation: texts are
        then what `Tokenizer.pre_split` gives, with a zero width space (U+200B) between the morphemes of an eojeol.
    """

    def __init__(self, tokenizer, max_length=128, pad_to=None, pre_split=False, name=None):
        super().__init__(name=name)
        if max_length < 3:
            raise ValueError(f"max_length is {max_length}; expected at least 3, for [CLS] and [SEP] and [SEP]")
        if pad_to is not None and pad_to < max_length:
            raise ValueError(f"pad_to is {pad_to}; expected at least max_length, {max_length}")
        self.normalizer = tokenizer.normalizer
        if pre_split != (self.normalizer.morphemes is not None):
            raise ValueError(
                f"pre_split is {pre_split}, but the tokenizer's morphemes is {self.normalizer.morphemes!r}; expected "
                "pre_split=True where it splits morphemes, and texts from tokenizer.pre_split, since TensorFlow has no "
                "operation for that; and False elsewhere"
            )
        self.max_length, self.pad_to = max_length, pad_to
        self.pad_id, self.cls_id, self.sep_id = tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id
        self.pair_separators = tokenizer.pair_separators
        kinds = {"wordpiece": _WordPiece, "published": _Published}
        self.model = kinds.get(tokenizer.type, _SentencePiece)(tokenizer)

    def __call__(self, texts, pairs=None):
        """string [B], and string [B] or None -> dict of int32 [B, S]: input_word_ids, input_mask, segment_ids."""
        with tf.device("CPU:0"):
            first = self.ids(texts)
            second = None if pairs is None else self.ids(pairs)
            return self.pack(first, second)

    def ids(self, texts):
        """string [B] -> int32 ragged [B, None], without [CLS] and [SEP]."""
        return self.model.ids(self.normalize(texts))

    def normalize(self, texts):
        """string [B] -> string [B], normalised, with a blank for white space and BOUNDARY only between letters."""
        options = self.normalizer
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if isinstance(self.model, _Published):
            return _nfc(texts, cleaned=False) if options.nfc else texts
        if options.full_width:
            table = full_width_table()
            texts = _map_characters(texts, [table.get(code, code) for code in range(max(table) + 1)])
        if options.max_jamo_repeats:
            texts = _shorten(texts, options.max_jamo_repeats)
        if options.nfc:
            texts = _nfc(texts, cleaned=options.clean_text)
        if options.clean_text:
            removed = characters.REMOVED.replace("200b-200f", "200c-200f") if options.morphemes else characters.REMOVED
            texts = tf.strings.regex_replace(texts, _any_of(removed), "")
        texts = tf.strings.regex_replace(texts, _any_of(characters.SPACE), " ")
        if options.morphemes:
            word_end = _any_of(characters.SPACE + characters.ALONE)
            for pattern, kept in ((f"(^|{word_end}){BOUNDARY}+", r"\1"), (f"{BOUNDARY}+($|{word_end})", r"\1")):
                texts = tf.strings.regex_replace(texts, pattern, kept)
            texts = tf.strings.regex_replace(texts, f"{BOUNDARY}+", BOUNDARY)
        if options.lowercase:
            texts = tf.strings.regex_replace(texts, DOTTED_I, "i\u0307")
            texts = _map_characters(texts, lower_table()[: 1 + int(characters.LOWER.split()[-1].split(":")[1], 16)])
        return _to_jamo(texts) if options.alphabet == "jamo" else texts

    def pack(self, first, second=None):
        """`Tokenizer.pack` and the padding, for int32 ragged [B, None] ids."""
        rows = first.nrows()
        cls, sep = (tf.fill([rows, 1], tf.constant(i, tf.int32)) for i in (self.cls_id, self.sep_id))
        gap = self.pair_separators
        room = tf.constant(self.max_length - (2 if second is None else 2 + gap), tf.int64)
        lengths = first.row_lengths()
        if second is None:
            kept = tf.minimum(lengths, room)
            ids = tf.concat([cls, _first_of_rows(first, kept), sep], axis=1)
        else:
            kept_second = tf.minimum(second.row_lengths(), tf.maximum(room // 2, room - lengths))
            kept = tf.minimum(lengths, room - kept_second)
            ids = [cls, _first_of_rows(first, kept), *[sep] * gap, _first_of_rows(second, kept_second), sep]
            ids = tf.concat(ids, axis=1)
        word_ids = ids.to_tensor(self.pad_id, shape=[None, self.pad_to])
        columns = tf.range(tf.shape(word_ids, tf.int64)[1])
        mask = columns < ids.row_lengths()[:, None]
        segments = mask & (columns >= kept[:, None] + 1 + gap) if second is not None else tf.zeros_like(mask)
        return {
            "input_word_ids": word_ids,
            "input_mask": tf.cast(mask, tf.int32),
            "segment_ids": tf.cast(segments, tf.int32),
        }


class _WordPiece(tf.Module):
    """Normalised strings -> ids. Morphemes that go on a word reach FastWordpieceTokenizer as "##" and their letters."""

    def __init__(self, tokenizer):
        super().__init__()
        self.max_word_chars = tokenizer.max_word_chars
        self.unk_token = tokenizer.vocab[tokenizer.unk_id]
        self.split = tokenizer.normalizer.morphemes is not None
        self.private = _private_characters(tokenizer.vocab, 3 + len(tokenizer.user_symbols))
        self.symbols = dict(zip(tokenizer.user_symbols, self.private[3:]))
        try:
            self.wordpiece = tf_text.FastWordpieceTokenizer(
                [self.symbols.get(entry, entry) for entry in tokenizer.vocab],
                token_out_type=tf.int32,
                unknown_token=self.unk_token,
                no_pretokenization=True,
                max_bytes_per_word=4 * max(self.max_word_chars, len(self.unk_token)) + 2,
            )
        except RuntimeError as error:  # 2.20.0 fails on most vocabularies (tensorflow/text issue 1462)
            raise ValueError(f"tensorflow_text {tf_text.__version__} can't build this vocabulary: {error}") from error

    def ids(self, texts):
        """string [B] -> int32 ragged [B, None]"""
        if self.symbols:
            replacements = {symbol: f" {char} " for symbol, char in self.symbols.items()}
            texts = _replace_symbols(texts, replacements, self.private, self.split)
        texts = tf.strings.regex_replace(texts, _any_of(characters.ALONE), r" \0 ")
        if self.split:
            for beside_a_symbol in (f"(^| ){BOUNDARY}", f"{BOUNDARY}( )"):
                texts = tf.strings.regex_replace(texts, beside_a_symbol, r"\1")
            texts = tf.strings.regex_replace(texts, BOUNDARY, " ##")
        words = tf.strings.split(texts)
        lengths = tf.strings.length(words.values, UNIT)
        if self.split:
            lengths -= 2 * tf.cast(tf.strings.substr(words.values, 0, 2) == "##", tf.int32)
        words = words.with_values(tf.where(lengths > self.max_word_chars, self.unk_token, words.values))
        return self.wordpiece.tokenize(words).merge_dims(1, 2)


class _SentencePiece(tf.Module):
    """Normalised strings -> ids. BOUNDARY is a piece of the model, and is taken out."""

    def __init__(self, tokenizer):
        super().__init__()
        self.split = tokenizer.normalizer.morphemes is not None
        self.boundary_id = tokenizer.vocab.index(BOUNDARY) if self.split else None
        self.symbols = {symbol: symbol for symbol in tokenizer.user_symbols}
        self.private = _private_characters(tokenizer.vocab, 3)
        if tokenizer.type == "unigram":
            self.model = tf_text.FastSentencepieceTokenizer(tokenizer.vocab_file)
        else:
            self.model = tf_text.SentencepieceTokenizer(tokenizer.vocab_file)

    def ids(self, texts):
        """string [B] -> int32 ragged [B, None]"""
        texts = tf.strings.strip(tf.strings.regex_replace(texts, f"[ {MARK}]+", " "))
        if self.split and self.symbols:
            texts = _replace_symbols(texts, self.symbols, self.private, True)
        ids = tf.cast(self.model.tokenize(texts), tf.int32).with_row_splits_dtype(tf.int64)
        return tf.ragged.boolean_mask(ids, ids != self.boundary_id) if self.split else ids


class _Published(tf.Module):
    """Strings -> ids, by a sentencepiece model that normalises by itself."""

    def __init__(self, tokenizer):
        super().__init__()
        if tokenizer.cleaning:
            raise ValueError(
                f"cleaning is {tokenizer.cleaning!r}; expected None: TensorFlow has no operations for that. Export the "
                "model that takes ids"
            )
        self.id_of = tokenizer.id_of
        self.model = tf_text.SentencepieceTokenizer(tokenizer.model)

    def ids(self, texts):
        """string [B] -> int32 ragged [B, None]"""
        ids = self.model.tokenize(texts).with_row_splits_dtype(tf.int64)
        return ids.with_values(tf.gather(tf.constant(self.id_of, tf.int32), ids.values))


def _private_characters(vocab, count):
    """str: characters for private use that no entry of the vocabulary has."""
    used = set("".join(vocab))
    return "".join(itertools.islice((chr(code) for code in range(0x100000, 0x10FFFE) if chr(code) not in used), count))


def _replace_symbols(texts, replacements, private, split):
    """Replaces user symbols, the longest where several stand at one place; BOUNDARY inside doesn't count (`split`).

    Where a text itself has one of the characters `private`, the third of them takes its place, which is as unknown.
    """
    start, end, unknown = private[:3]
    texts = tf.strings.regex_replace(texts, f"[{start}{end}{private[3:]}]", unknown)
    between = f"{BOUNDARY}?" if split else ""
    patterns = {symbol: between.join(map(re.escape, symbol)) for symbol in sorted(replacements, key=len, reverse=True)}
    texts = tf.strings.regex_replace(texts, "|".join(patterns.values()), f"{start}\\0{end}")
    for symbol, pattern in patterns.items():
        text = replacements[symbol].replace("\\", r"\\")
        texts = tf.strings.regex_replace(texts, f"{start}{pattern}{end}", text)
    return texts


def _to_jamo(texts):
    """Hangul syllables as two or three conjoining jamo."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    place = codes.values - SYLLABLE
    hangul = (place >= 0) & (place < SYLLABLES)
    jamo = [tf.where(hangul, 0x1100 + place // 588, codes.values), 0x1161 + place % 588 // 28, 0x11A7 + place % 28]
    kept = tf.stack([tf.ones_like(hangul), hangul, hangul & (place % 28 > 0)], axis=1)
    ends = tf.concat([[0], tf.cumsum(tf.reduce_sum(tf.cast(kept, tf.int64), axis=1))], axis=0)
    values = tf.boolean_mask(tf.stack(jamo, axis=1), kept)
    codes = tf.RaggedTensor.from_row_splits(values, tf.gather(ends, codes.row_splits))
    return tf.strings.unicode_encode(codes, "UTF-8")


def _first_of_rows(ragged, lengths):
    """The first ids of each row, as many as `lengths` says."""
    starts = ragged.row_starts()
    places = tf.ragged.range(starts, starts + lengths)
    return places.with_values(tf.gather(ragged.values, places.values))


def _any_of(table):
    """The regular expression of RE2 for a table in characters.py."""
    ranges = [f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in code_ranges(table)]
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
