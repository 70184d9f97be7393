"""TFRecords of masked pairs of sentences, as google-research/bert and TF Model Garden write them; needs TensorFlow."""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfkor.data.text_data import DataError
from tfkor.files import new_file

STYLES = {  # tfkor's names -> the names in the files, where they differ
    "bert": {"input_word_ids": "input_ids"},
    "model_garden": {"segment_ids": "input_type_ids"},  # --use_v2_feature_names
}
FEATURES = (
    "input_word_ids",
    "input_mask",
    "segment_ids",
    "masked_lm_positions",
    "masked_lm_ids",
    "masked_lm_weights",
    "next_sentence_labels",
)


def read_tfrecords(
    paths: str | os.PathLike | Sequence[str | os.PathLike], batch_size: int, drop_last: bool = False
) -> Iterator[dict[str, np.ndarray]]:
    """Yields batches of the examples in TFRecord files, in their order.

    Args:
      paths: a path, a glob pattern, or a list of them; gzipped or not.
      batch_size: int B.
      drop_last: whether to leave out the last batch if it is smaller.

    Yields:
      dict of int32 [B, S] input_word_ids, input_mask, segment_ids; int32 [B, P] masked_lm_positions, masked_lm_ids;
      float32 [B, P] masked_lm_weights, 0 where there is no prediction; int32 [B] next_sentence_labels, 1 for a random
      second segment.

    Raises:
      DataError: a file that is missing, empty, damaged or without these features, or whose lengths differ from those of
        the first file.
    """
    import tensorflow as tf

    files = tfrecord_files(paths)
    names, features = _features(files[0])
    parse = {names[name]: tf.io.FixedLenFeature(*feature) for name, feature in features.items()}
    for path in files:
        if (found := _features(path)) != (names, features):
            raise DataError(f"{path}: found the features {found[1]}, expected {features}, those of {files[0]}")
    records = tf.data.Dataset.from_tensor_slices(files)
    records = records.flat_map(lambda path: _records(path, gzipped=_is_gzip(files[0])))
    batches = records.batch(batch_size, drop_remainder=drop_last)
    batches = batches.map(lambda batch: tf.io.parse_example(batch, parse)).prefetch(2).as_numpy_iterator()
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise DataError(
                f"{', '.join(files[:3])}{' ...' if len(files) > 3 else ''}: damaged ({error.message}); expected "
                "complete TFRecords of one length: make or copy them again"
            ) from None
        ours = {name: batch[names[name]] for name in FEATURES}
        ours["next_sentence_labels"] = ours["next_sentence_labels"][:, 0]
        yield {name: array.astype(_type(name)) for name, array in ours.items()}


def write_tfrecords(
    path: str | os.PathLike, batches: Iterable[Mapping[str, np.ndarray]], style: str = "bert", gzip: bool = False
) -> int:
    """Writes examples as TFRecords; the file appears only when it is complete. Returns the number of examples.

    Args:
      path: the file.
      batches: dicts of arrays, as `read_tfrecords` yields them; other keys are ignored.
      style: "bert", the names of google-research/bert (input_ids, segment_ids), or "model_garden", those of TF Model
        Garden's --use_v2_feature_names (input_word_ids, input_type_ids).
      gzip: whether to gzip the file, as Model Garden's --gzip_compress.

    Raises:
      ValueError: another style, or a feature is missing.
    """
    import tensorflow as tf

    if style not in STYLES:
        raise ValueError(f"style={style!r}; expected one of {', '.join(STYLES)}")
    count = 0
    with new_file(path) as temporary, tf.io.TFRecordWriter(str(temporary), "GZIP" if gzip else None) as writer:
        for batch in batches:
            if missing := [name for name in FEATURES if name not in batch]:
                raise ValueError(f"a batch without {', '.join(missing)}; expected {', '.join(FEATURES)}")
            columns = [(name, STYLES[style].get(name, name), np.asarray(batch[name])) for name in FEATURES]
            for row in range(len(batch["input_word_ids"])):
                features = {theirs: _feature(name, column[row]) for name, theirs, column in columns}
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString(deterministic=True))
                count += 1
    return count


def tfrecord_files(paths: str | os.PathLike | Sequence[str | os.PathLike]) -> list[str]:
    """The files that paths and glob patterns name.

    Raises:
      DataError: there is none, or one is empty.
    """
    found = []
    for path in map(os.fspath, [paths] if isinstance(paths, (str, os.PathLike)) else paths):
        matches = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
        if not matches or not all(map(os.path.isfile, matches)):
            raise DataError(f"{path}: no such file; expected TFRecords")
        found += matches
    if not found:
        raise DataError("no files; expected TFRecords")
    for path in found:
        if not os.path.getsize(path):
            raise DataError(f"{path}: the file is empty; expected TFRecords")
    return found


def _records(path, gzipped):
    import tensorflow as tf

    return tf.data.TFRecordDataset(path, compression_type="GZIP" if gzipped else None)


def _is_gzip(path):
    with open(path, "rb") as file:
        return file.read(3) == b"\x1f\x8b\x08"  # a record starts with its length, which is never that


def _features(path):
    """{tfkor's name: the file's} and {tfkor's name: (shape, type)}, as in the first record."""
    import tensorflow as tf

    try:
        record = next(_records(path, _is_gzip(path)).take(1).as_numpy_iterator())
        found = tf.train.Example.FromString(record).features.feature
    except (tf.errors.OpError, ValueError, StopIteration) as error:
        message = getattr(error, "message", None) or error
        raise DataError(f"{path}: no TFRecord of tf.train.Example ({message}); make or copy the file again") from None
    except Exception as error:  # google.protobuf's DecodeError, whose module differs between versions
        raise DataError(f"{path}: a record that is no tf.train.Example ({error}); expected masked pairs") from None
    for renamed in (*STYLES.values(), {}):
        names = {name: renamed.get(name, name) for name in FEATURES}
        if set(names.values()) <= set(found):
            features = {}
            for name, theirs in names.items():
                kind = found[theirs].WhichOneof("kind")
                length = len(getattr(found[theirs], kind).value) if kind else 0
                features[name] = ([length], "float32" if kind == "float_list" else "int64")
            return names, features
    raise DataError(
        f"{path}: found the features {', '.join(sorted(found))}; expected {', '.join(FEATURES)}, or input_ids for the "
        "first and input_type_ids for segment_ids"
    )


def _type(name):
    return np.float32 if name == "masked_lm_weights" else np.int32


def _feature(name, values):
    import tensorflow as tf

    values = np.atleast_1d(values).tolist()
    if name == "masked_lm_weights":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
