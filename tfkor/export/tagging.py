"""A tagger as a SavedModel from raw text to tags and entities, with their offsets in the text."""

import os
from pathlib import Path

import tensorflow as tf

from tfkor.export.common import float32_compute, new_saved_model
from tfkor.export.saved_model import call_of_strings, label_names, save
from tfkor.export.windows import Windows, run
from tfkor.tasks.tagger import TokenTagger

NOWHERE = tf.int64.max


def export_string_tagger(tagger: TokenTagger, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Writes a TokenTagger with its tokenizer as a SavedModel from raw text to tags and entities.

    To load it you need tensorflow and `import tensorflow_text`, not tfkor:

        model = tf.saved_model.load(path)
        answer = model.signatures["serving_default"](text=tf.constant(["이순신 장군은 서울에서 태어났다."]))

    text, string [B], gives a dict of what `TokenTagger.predict` and `entities` give. Of the units, characters but
    blanks or words: tags string [B, U], begin and end int32 [B, U], lengths int32 [B], how many units each text has.
    Where the tags are those of entities, entity_types and entity_texts string [B, E], entity_begin and entity_end
    int32 [B, E], entity_counts int32 [B]. Offsets count the characters of the original text, ends are exclusive;
    rows are padded with "" and 0. Texts of any length are split into windows that overlap. The object itself is called
    with text, [text], or {"text": text}. The signature `label_names` takes nothing and gives {"labels": string [C]}.
    It computes in float32, and no variable is trainable.

    Args:
      overwrite: replace the SavedModel at `path`, once the new one is whole.

    Returns:
      The path.

    Raises:
      FileExistsError, PermissionError: as `export_encoder`.
      ValueError: the tagger has no head; or a tokenizer that TensorFlow has no operations for, see `GraphOffsets`.
    """
    from tfkor.text import GraphOffsets

    if tagger.model is None:
        raise ValueError("the tagger has no head yet: call fit, or give labels")
    tagger = tagger.merged()
    offsets = GraphOffsets(tagger.tokenizer)
    with new_saved_model(path, overwrite) as folder, float32_compute(tagger.model):

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="text")], autograph=False)
        def serve(text):
            text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
            ids, begin, end = offsets(text)
            labels = piece_labels(tagger, ids)
            return tags_of(tagger, text, begin, end, labels)

        serve = serve.get_concrete_function()  # traced once for all callers
        signatures = {"serving_default": serve, "label_names": label_names(tagger.labels)}
        call = call_of_strings(serve, ["text"])
        save(folder, call, tagger.model, signatures, trainable=False, tokenizer=offsets)
    return Path(path)


def piece_labels(tagger: TokenTagger, ids: tf.RaggedTensor) -> tf.Tensor:
    """int32 ragged [B, None] -> the label of each piece, int64 [P], in the window where it has the most context."""
    tok, capacity = tagger.tokenizer, tagger.max_length - 2
    sizes = (capacity, max(1, capacity // 2))
    capacity, stride = (tf.fill([ids.nrows()], tf.constant(size, tf.int64)) for size in sizes)
    windows = Windows.of(ids.row_lengths(), capacity, stride)
    pieces = windows.pieces(ids.row_starts())
    cls, sep = (tf.fill([pieces.nrows(), 1], tf.constant(i, tf.int32)) for i in (tok.cls_id, tok.sep_id))
    rows = tf.concat([cls, pieces.with_values(tf.gather(ids.values, pieces.values)), sep], axis=1)
    found = tf.argmax(run(tagger, rows), axis=-1)  # [W, S]
    positions = tf.stack([pieces.value_rowids(), 1 + tf.ragged.range(windows.lengths).values], axis=1)
    best = windows.best(pieces)
    labels = tf.gather_nd(found, tf.boolean_mask(positions, best))
    return tf.scatter_nd(tf.boolean_mask(pieces.values, best)[:, None], labels, tf.shape(ids.values, tf.int64))


def tags_of(
    tagger: TokenTagger, text: tf.Tensor, begin: tf.RaggedTensor, end: tf.RaggedTensor, labels: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Texts [B], the offsets of their pieces and the labels of these -> the dict that the model gives."""
    codes = tf.strings.unicode_decode(text, "UTF-8")
    size, row_starts = tf.size(codes.values, tf.int64), codes.row_starts()
    label, first = character_labels(tagger, size, row_starts, begin, end, labels)
    # Units: characters other than blanks, or runs of them
    row, letter = codes.value_rowids(), codes.values != ord(" ")
    starts = letter
    if tagger.unit == "word":
        starts &= tf.concat([tf.ones_like(letter[:1]), ~letter[:-1] | (row[1:] != row[:-1])], 0)
    letters, start = tf.where(letter)[:, 0], tf.where(starts)[:, 0]
    unit = tf.boolean_mask(tf.cumsum(tf.cast(starts, tf.int64)) - 1, letter)
    count = tf.size(start, tf.int64)
    stop = 1 + tf.math.unsorted_segment_max(letters, unit, count)
    # The tag of a unit: that of its first character in a piece
    known = tf.where(tf.gather(label, letters) < len(tagger.labels), letters, NOWHERE)
    position = tf.math.unsorted_segment_min(known, unit, count)
    missing = position == NOWHERE
    position = tf.where(missing, tf.zeros_like(position), position)
    names = [*tagger.labels, "O"]
    inside = [names.index(tagger.inside(name)) for name in names]
    tag = tf.gather(label, position)
    tag = tf.where(tf.gather(first, position), tag, tf.gather(tf.constant(inside, tf.int64), tag))
    tag = tf.where(missing, tf.constant(len(tagger.labels), tf.int64), tag)
    row, rows = tf.gather(row, start), codes.nrows()
    begin, end = start - tf.gather(row_starts, row), stop - tf.gather(row_starts, row)
    outputs = padded(row, rows, "lengths", tags=tf.gather(tf.constant(names), tag), begin=begin, end=end)
    if tagger.are_entities():
        outputs |= entities_of(tagger, text, row, rows, begin, end, tag)
    return outputs


def character_labels(
    tagger: TokenTagger,
    size: tf.Tensor,
    row_starts: tf.Tensor,
    begin: tf.RaggedTensor,
    end: tf.RaggedTensor,
    labels: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each character the label of the first piece over it, int64 [size], C for none, and whether it begins there."""
    piece_start = tf.gather(row_starts, begin.value_rowids())
    first, stop = (piece_start + tf.cast(x.values, tf.int64) for x in (begin, end))
    covered = tf.ragged.range(first, stop)
    owner = tf.math.unsorted_segment_min(covered.value_rowids(), covered.values, size)  # [size]
    none = owner == NOWHERE
    labels = tf.concat([labels, [len(tagger.labels)]], 0)
    first = tf.concat([first, [-1]], 0)
    owner = tf.where(none, tf.size(labels, tf.int64) - 1, owner)
    return tf.gather(labels, owner), tf.gather(first, owner) == tf.range(size)


def entities_of(
    tagger: TokenTagger,
    text: tf.Tensor,
    row: tf.Tensor,
    rows: tf.Tensor,
    begin: tf.Tensor,
    end: tf.Tensor,
    tag: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """`tfkor.metrics.entities_of` of the tags, int64 [N], of all units; an entity ends with its text."""
    from tfkor.metrics.entities import split_tag

    parts = [split_tag(name, tagger.suffix) for name in (*tagger.labels, "O")]
    kinds = sorted({kind for _, kind in parts if kind})
    kind = tf.gather(tf.constant([kinds.index(kind) if kind else -1 for _, kind in parts], tf.int64), tag)
    marked = tf.gather(tf.constant([mark == "B" for mark, _ in parts]), tag)
    same = tf.concat([tf.zeros_like(marked[:1]), (kind[1:] == kind[:-1]) & (row[1:] == row[:-1])], 0)
    in_entity = kind >= 0
    starts = in_entity & (marked | ~same)
    entity = tf.boolean_mask(tf.cumsum(tf.cast(starts, tf.int64)) - 1, in_entity)
    row, begin, kind = (tf.boolean_mask(x, starts) for x in (row, begin, kind))
    end = tf.math.unsorted_segment_max(tf.boolean_mask(end, in_entity), entity, tf.size(row, tf.int64))
    texts = tf.strings.substr(tf.gather(text, row), begin, end - begin, "UTF8_CHAR")
    kinds = tf.gather(tf.constant([*kinds, ""]), kind)
    columns = {"entity_types": kinds, "entity_texts": texts, "entity_begin": begin, "entity_end": end}
    return padded(row, rows, "entity_counts", **columns)


def padded(row: tf.Tensor, rows: tf.Tensor, count: str, **columns: tf.Tensor) -> dict[str, tf.Tensor]:
    """Values [N] of rows -> each [B, longest], int32 where they are numbers; and `count`, int32 [B]."""
    outputs = {}
    for name, values in columns.items():
        values = values if values.dtype == tf.string else tf.cast(values, tf.int32)
        column = tf.RaggedTensor.from_value_rowids(values, row, rows)
        outputs[name] = column.to_tensor()
    return {**outputs, count: tf.cast(column.row_lengths(), tf.int32)}
