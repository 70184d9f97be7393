"""TFRecords as google-research/bert and TF Model Garden write them: read, written, and named where they are damaged."""

import numpy as np
import pytest

from tfkor.data.text_data import DataError
from tfkor.data.tfrecord import FEATURES, read_tfrecords, write_tfrecords

tf = pytest.importorskip("tensorflow")


def examples(count, seed=0, length=16, predictions=3):
    random = np.random.default_rng(seed)
    mask = (np.arange(length) < random.integers(5, length + 1, (count, 1))).astype(np.int32)
    weights = (np.arange(predictions) < random.integers(1, predictions + 1, (count, 1))).astype(np.float32)
    return {
        "input_word_ids": random.integers(1, 90, (count, length)).astype(np.int32) * mask,
        "input_mask": mask,
        "segment_ids": (np.arange(length) > 4).astype(np.int32) * mask,
        "masked_lm_positions": random.integers(1, 5, (count, predictions)).astype(np.int32),
        "masked_lm_ids": random.integers(1, 90, (count, predictions)).astype(np.int32),
        "masked_lm_weights": weights,
        "next_sentence_labels": random.integers(0, 2, count).astype(np.int32),
    }


def write_as_the_official_scripts(path, batch, new_names=False, compression=None):
    """write_instance_to_example_files of google-research/bert, create_pretraining_data.py, with these arrays."""

    def ints(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))

    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for i in range(len(batch["input_mask"])):
            features = {
                "input_word_ids" if new_names else "input_ids": ints(batch["input_word_ids"][i]),
                "input_type_ids" if new_names else "segment_ids": ints(batch["segment_ids"][i]),
                "input_mask": ints(batch["input_mask"][i]),
                "masked_lm_positions": ints(batch["masked_lm_positions"][i]),
                "masked_lm_ids": ints(batch["masked_lm_ids"][i]),
                "masked_lm_weights": tf.train.Feature(
                    float_list=tf.train.FloatList(value=batch["masked_lm_weights"][i])
                ),
                "next_sentence_labels": ints([batch["next_sentence_labels"][i]]),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def joined(batches):
    batches = list(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in FEATURES}


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        assert found[name].dtype == expected[name].dtype


@pytest.mark.parametrize("new_names, compression", [(False, None), (True, None), (True, "GZIP")])
def test_reads_what_the_official_scripts_write(tmp_path, new_names, compression):
    expected = examples(10)
    write_as_the_official_scripts(tmp_path / "a.tfrecord", expected, new_names, compression)
    batches = list(read_tfrecords(tmp_path / "a.tfrecord", 4))
    assert [len(batch["input_mask"]) for batch in batches] == [4, 4, 2]
    assert_equal(joined(batches), expected)
    assert len(list(read_tfrecords(tmp_path / "a.tfrecord", 4, drop_last=True))) == 2


def test_several_files_in_order(tmp_path):
    parts = [examples(3, seed) for seed in range(3)]
    for i, part in enumerate(parts):
        write_as_the_official_scripts(tmp_path / f"{i}.tfrecord", part)
    assert_equal(joined(read_tfrecords(f"{tmp_path}/*.tfrecord", 2)), joined(parts))
    paths = [tmp_path / "2.tfrecord", tmp_path / "0.tfrecord"]
    assert_equal(joined(read_tfrecords(paths, 100)), joined([parts[2], parts[0]]))


@pytest.mark.parametrize("style, gzip", [("bert", False), ("model_garden", True)])
def test_writes_what_the_official_scripts_write(tmp_path, style, gzip):
    batches = [{**examples(5, seed), "more": np.zeros(5)} for seed in range(2)]
    assert write_tfrecords(tmp_path / "ours", batches, style, gzip) == 10
    compression = "GZIP" if gzip else None
    write_as_the_official_scripts(tmp_path / "theirs", joined(batches), style == "model_garden", compression)
    ours, theirs = (
        [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(tmp_path / name), compression)]
        for name in ("ours", "theirs")
    )
    assert ours == theirs and len(ours) == 10
    assert_equal(joined(read_tfrecords(tmp_path / "ours", 3)), joined(batches))


def test_what_cannot_be_read_is_named(tmp_path):
    good = tmp_path / "good"
    write_as_the_official_scripts(good, examples(10))
    data = bytearray(good.read_bytes())

    def check(name, content, message):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            list(read_tfrecords(tmp_path / name, 2))

    check("cut", data[:-7], r"cut: damaged .*make or copy them again")
    check("cut_at_once", data[:20], r"cut_at_once: no TFRecord of tf\.train\.Example")
    data[len(data) // 2] ^= 1
    check("flipped", data, "flipped: damaged")
    check("empty", b"", "empty: the file is empty")
    check("text", "한글\n".encode() * 99, "text: no TFRecord")
    with tf.io.TFRecordWriter(str(tmp_path / "other")) as writer:
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
        writer.write(tf.train.Example(features=tf.train.Features(feature={"label": feature})).SerializeToString())
    check("other", (tmp_path / "other").read_bytes(), "other: found the features label; expected input_word_ids, ")
    write_as_the_official_scripts(tmp_path / "longer", examples(2, length=20))
    with pytest.raises(DataError, match=r"longer: found the features .*\[20\].* expected .*\[16\]"):
        list(read_tfrecords([good, tmp_path / "longer"], 2))
    with pytest.raises(DataError, match="none: no such file"):
        list(read_tfrecords(tmp_path / "none", 2))


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ValueError, match="style='v3'; expected one of bert, model_garden"):
        write_tfrecords(tmp_path / "a", [], "v3")
    batch = examples(2)
    del batch["input_mask"], batch["next_sentence_labels"]
    with pytest.raises(ValueError, match="a batch without input_mask, next_sentence_labels; expected"):
        write_tfrecords(tmp_path / "a", [batch])
    assert not list(tmp_path.iterdir())
