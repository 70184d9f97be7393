"""Normalisation as TensorFlow operations on strings."""

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfkor.text import characters
from tfkor.text.morphemes import BOUNDARY
from tfkor.text.normalization import (
    DOTTED_I,
    JAMO,
    SYLLABLE,
    SYLLABLES,
    Normalizer,
    code_ranges,
    full_width_table,
    lower_table,
)
from tfkor.text.published_normalizer import PublishedNormalizer

GUARD, NUL = "\x00\x01", "\x00\x02"  # around what NFC must not touch; what a NUL of the text becomes during NFC


def normalized(texts: tf.Tensor, normalizer: Normalizer | PublishedNormalizer) -> tf.Tensor:
    """string [B], valid UTF-8 -> string [B]"""
    return TWINS[type(normalizer)](texts, normalizer)


def as_published(texts: tf.Tensor, options: PublishedNormalizer) -> tf.Tensor:
    """What a `PublishedNormalizer` without cleaning does."""
    return nfc(texts, cleaned=False) if options.nfc else texts


def as_normalizer(texts: tf.Tensor, options: Normalizer) -> tf.Tensor:
    """What a `Normalizer` does, with a blank for white space and BOUNDARY only between letters."""
    if options.full_width:
        table = full_width_table()
        texts = map_characters(texts, [table.get(code, code) for code in range(max(table) + 1)])
    if options.max_jamo_repeats:
        texts = shorten(texts, options.max_jamo_repeats)
    if options.nfc:
        texts = nfc(texts, cleaned=options.clean_text)
    if options.clean_text:
        removed = characters.REMOVED.replace("200b-200f", "200c-200f") if options.morphemes else characters.REMOVED
        texts = tf.strings.regex_replace(texts, any_of(removed), "")
    texts = tf.strings.regex_replace(texts, any_of(characters.SPACE), " ")
    if options.morphemes:
        word_end = any_of(characters.SPACE + characters.ALONE)
        for pattern, kept in ((f"(^|{word_end}){BOUNDARY}+", r"\1"), (f"{BOUNDARY}+($|{word_end})", r"\1")):
            texts = tf.strings.regex_replace(texts, pattern, kept)
        texts = tf.strings.regex_replace(texts, f"{BOUNDARY}+", BOUNDARY)
    if options.lowercase:
        texts = tf.strings.regex_replace(texts, DOTTED_I, "i\u0307")
        texts = map_characters(texts, lower_table()[: 1 + int(characters.LOWER.split()[-1].split(":")[1], 16)])
    return to_jamo(texts) if options.alphabet == "jamo" else texts


def to_jamo(texts: tf.Tensor) -> tf.Tensor:
    """Hangul syllables as two or three conjoining jamo."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    index = codes.values - SYLLABLE
    hangul = (index >= 0) & (index < SYLLABLES)
    jamo = [tf.where(hangul, 0x1100 + index // 588, codes.values), 0x1161 + index % 588 // 28, 0x11A7 + index % 28]
    kept = tf.stack([tf.ones_like(hangul), hangul, hangul & (index % 28 > 0)], axis=1)
    ends = tf.concat([[0], tf.cumsum(tf.reduce_sum(tf.cast(kept, tf.int64), axis=1))], axis=0)
    values = tf.boolean_mask(tf.stack(jamo, axis=1), kept)
    codes = tf.RaggedTensor.from_row_splits(values, tf.gather(ends, codes.row_splits))
    return tf.strings.unicode_encode(codes, "UTF-8")


def any_of(table: str) -> str:
    """The regular expression of RE2 for a table in characters.py."""
    ranges = [f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in code_ranges(table)]
    return f"[{''.join(ranges)}]"


def map_characters(texts: tf.Tensor, table: list[int] | np.ndarray) -> tf.Tensor:
    """Replaces each code point c by table[c]; those beyond the table stay."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    mapped = tf.gather(tf.constant(table, tf.int32), tf.minimum(codes.values, len(table) - 1))
    mapped = tf.where(codes.values < len(table), mapped, codes.values)
    return tf.strings.unicode_encode(codes.with_values(mapped), "UTF-8")


def shorten(texts: tf.Tensor, repeats: int) -> tf.Tensor:
    """Shortens runs of one jamo. RE2 has no back references, but nine groups in a replacement."""
    jamo = [chr(code) for code in range(JAMO[0], JAMO[1] + 1)]
    for start in range(0, len(jamo), 9):
        some = jamo[start : start + 9]
        runs = "|".join(f"({char}{{{repeats}}}){char}+" for char in some)
        texts = tf.strings.regex_replace(texts, runs, "".join(f"\\{i}" for i in range(1, len(some) + 1)))
    return texts


def nfc(texts: tf.Tensor, cleaned: bool) -> tf.Tensor:
    """NFC as Hugging Face's, which knows fewer characters than ICU: a GUARD on both sides keeps ICU from these.

    Cleaning removes the guards with the other control characters. Without cleaning, each NUL of the text is NUL during
    NFC, so that guards can be recognised and removed.
    """
    if not cleaned:
        texts = tf.strings.regex_replace(texts, r"\x00", NUL)
    texts = tf.strings.regex_replace(texts, any_of(characters.NFC_NEWER), f"{GUARD}\\0{GUARD}")
    texts = tf_text.normalize_utf8(texts, "NFC")
    if not cleaned:
        texts = tf.strings.regex_replace(texts, r"\x00\x01", "")
        texts = tf.strings.regex_replace(texts, r"\x00\x02", "\x00")
    return texts


TWINS = {Normalizer: as_normalizer, PublishedNormalizer: as_published}
