"""Windows of long texts, as in tfkor/tasks/windows.py, and a function that runs a model over them, in a graph."""

from typing import NamedTuple

import tensorflow as tf

from tfkor.export.saved_model import checked
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.tasks.task import Task

ROWS = 32  # that go through the encoder at once


class Windows(NamedTuple):
    """Parts of texts that fit into a row: the pieces `begin` to `end` of text number `row`, all int64 [W]."""

    row: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor

    @classmethod
    def of(cls, lengths: tf.Tensor, capacity: tf.Tensor, stride: tf.Tensor) -> "Windows":
        """Windows from lengths of texts in pieces, the pieces that fit into a row, and strides, int64 [B] each."""
        counts = 1 + -(-tf.maximum(lengths - capacity, 0) // stride)
        number = tf.ragged.range(counts)
        row = number.value_rowids()
        begin = number.values * tf.gather(stride, row)
        return cls(row, begin, tf.minimum(begin + tf.gather(capacity, row), tf.gather(lengths, row)))

    @property
    def lengths(self) -> tf.Tensor:
        return self.end - self.begin

    def pieces(self, row_starts: tf.Tensor) -> tf.RaggedTensor:
        """The indices of each window's pieces in the values of a RaggedTensor with these rows, int64 [W, None]."""
        start = tf.gather(row_starts, self.row)
        return tf.ragged.range(start + self.begin, start + self.end)

    def best(self, pieces: tf.RaggedTensor) -> tf.Tensor:
        """The result of `pieces` -> bool [N], for each value: whether the piece has the most context in this window."""
        index, size = tf.ragged.range(self.lengths).values, tf.gather(self.lengths, pieces.value_rowids())
        least = tf.cast(tf.minimum(index, size - 1 - index), tf.float64)
        context = least + 0.01 * tf.cast(size, tf.float64)
        window, piece = pieces.value_rowids(), pieces.values
        count = tf.reduce_max(tf.concat([[-1], piece], 0)) + 1
        most = tf.gather(tf.math.unsorted_segment_max(context, piece, count), piece)
        candidates = tf.where(context == most, window, tf.int64.max)
        return tf.gather(tf.math.unsorted_segment_min(candidates, piece, count), piece) == window


def run(task: Task, ids: tf.RaggedTensor, segments: tf.RaggedTensor | None = None) -> tf.Tensor:
    """Rows of ids, int32 ragged [W, None], and of segments -> the outputs of the task's model, float32 [W, S, C].

    ROWS rows at once, so that long texts need no more memory than short ones.
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
