"""Folders of tensors: safetensors, several files, and what is wrong with them."""

import json

import numpy as np
import pytest

from tfkor.interop.tensors import read_tensors
from tfkor.tensor_files import read_safetensors, write_safetensors

TENSORS = {
    "a": np.arange(6, dtype="float32").reshape(2, 3),
    "b": np.array(2.5, "float32"),
    "c": np.array([[1, -2]], "int64"),
}


def raw(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + data


def test_what_is_written_is_read(tmp_path):
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    for found in (read_tensors(tmp_path), read_safetensors(tmp_path / "model.safetensors")):
        assert sorted(found) == list(TENSORS)
        for name, value in TENSORS.items():
            assert found[name].dtype == value.dtype
            np.testing.assert_array_equal(found[name], value)


def test_bfloat16_becomes_float32(tmp_path):
    values = np.array([1.0, -2.5, 3e20], "float32")
    header = {"w": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    (tmp_path / "w.safetensors").write_bytes(raw(header, (values.view("uint32") >> 16).astype("<u2").tobytes()))
    found = read_safetensors(tmp_path / "w.safetensors")["w"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=2**-7)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "a header of 0 bytes in a file of 0|expected a"),
        ((10 * 2**30).to_bytes(8, "little") + b"{}", r"a header of 10,737,418,240 bytes in a file of 10"),
        (raw({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(12)), "expected a whole"),
        (raw({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}, bytes(8)), "expected a whole"),
        (raw({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, bytes(16)), "expected a whole"),
        (raw(b"[1, 2]"), "expected a whole"),
        (raw({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, bytes(2)), "w is of the type F8_E4M3"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, words):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors: .*(" + words + ")"):
        read_tensors(tmp_path)


def test_tensors_of_several_files(tmp_path):
    write_safetensors(tmp_path / "model-1.safetensors", {"a": TENSORS["a"]})
    write_safetensors(tmp_path / "model-2.safetensors", {"b": TENSORS["b"]})
    index, places = tmp_path / "model.safetensors.index.json", {"a": "model-1.safetensors", "b": "model-2.safetensors"}

    def read(weight_map):
        index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        return read_tensors(tmp_path)

    assert list(read(places)) == ["a", "b"]
    with pytest.raises(FileNotFoundError, match=r"model-3\.safetensors: no such file; model\.safetensors\.index\.json"):
        read({**places, "c": "model-3.safetensors"})
    with pytest.raises(ValueError, match=r"c is not in model-1\.safetensors"):
        read({**places, "c": "model-1.safetensors"})
    for name in (
        "../model-1.safetensors",
        "/etc/passwd",
        "sub/model-1.safetensors",
        "model-1.pkl",
        "",
        "a" * 400 + ".bin",
    ):
        with pytest.raises(ValueError, match="it names the file"):
            read({**places, "c": name})
    with pytest.raises(ValueError, match="its weight_map is empty"):
        read({})
    for text in ("[]", "{", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'):
        index.write_text(text)
        with pytest.raises(ValueError, match="expected JSON with a weight_map"):
            read_tensors(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no weights; expected one of model\.safetensors"):
        read_tensors(tmp_path)
