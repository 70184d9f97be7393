"""Windows of long texts, as in tfkor/tasks/windows.py, and a model's run over them, in a graph."""

from typing import NamedTuple

import tensorflow as tf

from tfkor.export.saved_model import checked
from tfkor.layers.inputs import INPUT_NAMES

ROWS = 32  # that go through the encoder at once


class Windows(NamedTuple):
    """Parts of texts that fit into a row: the pieces `begin` to `end` of text number `row`, all int64 [W]."""

    row: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor

    @classmethod
    def of(cls, lengths, room, stride):
        """Texts of so many pieces, how many fit into a row, and from one window to the next, int64 [B] each."""
        counts = 1 + -(-tf.maximum(lengths - room, 0) // stride)
        number = tf.ragged.range(counts)
        row = number.value_rowids()
        begin = number.values * tf.gather(stride, row)
        return cls(row, begin, tf.minimum(begin + tf.gather(room, row), tf.gather(lengths, row)))

    @property
    def lengths(self):
        return self.end - self.begin

    def pieces(self, row_starts):
        """Where the pieces of each window are in the values of a RaggedTensor with such rows, int64 [W, None]."""
        start = tf.gather(row_starts, self.row)
        return tf.ragged.range(start + self.begin, start + self.end)

    def best(self, pieces):
        """What `pieces` gave -> bool [N], for its values: whether a piece has most context in this window."""
        place, size = tf.ragged.range(self.lengths).values, tf.gather(self.lengths, pieces.value_rowids())
        least = tf.cast(tf.minimum(place, size - 1 - place), tf.float64)
        context = least + 0.01 * tf.cast(size, tf.float64)
        window, piece = pieces.value_rowids(), pieces.values
        count = tf.reduce_max(tf.concat([[-1], piece], 0)) + 1
        most = tf.gather(tf.math.unsorted_segment_max(context, piece, count), piece)
        candidates = tf.where(context == most, window, tf.int64.max)
        return tf.gather(tf.math.unsorted_segment_min(candidates, piece, count), piece) == window


def run(task, ids, segments=None):
    """Rows of ids, int32 ragged [W, None], and of segments -> what the task's model gives, [W, S, C], float32.

    ROWS of them at once, so that long texts need no more memory than short ones.
    """
    word_ids = ids.to_tensor(task.tokenizer.pad_id)
    word_ids = tf.reshape(word_ids, tf.maximum(tf.shape(word_ids), [0, 1]))  # no rows at all: [0, 0] -> [0, 1]
    shape = tf.shape(word_ids)
    mask = tf.sequence_mask(ids.row_lengths(), shape[1], tf.int32)
    segments = tf.zeros_like(mask) if segments is None else segments.to_tensor(shape=[None, None])
    inputs = [checked(word_ids, task.encoder), mask, tf.reshape(segments, shape)]
    channels = task.model.dense.units

    def step(start, outputs):
        batch = {name: x[start : start + ROWS] for name, x in zip(INPUT_NAMES, inputs)}
        return start + ROWS, outputs.write(start // ROWS, task.model(batch, training=False))

    outputs = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=[None, None, channels])
    count = tf.maximum(shape[0], 1)  # an empty batch too gives an output
    _, outputs = tf.while_loop(lambda start, _: start < count, step, [tf.constant(0), outputs])
    return outputs.concat()
