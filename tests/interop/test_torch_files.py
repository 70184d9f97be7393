"""pytorch_model.bin: what torch.save wrote is read without PyTorch, and nothing else is."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from tfkor.interop.torch_files import LEGACY_MAGIC, read_torch_file

GOLDEN = Path(__file__).parents[1] / "golden/torch"
FORMATS = ("zip.bin", "legacy.bin")


@pytest.mark.parametrize("name", FORMATS)
def test_a_state_dict_is_read(name):
    found, expected = read_torch_file(GOLDEN / name), np.load(GOLDEN / "numbers.npz")
    assert list(found) == list(expected)
    for key in expected:
        assert found[key].dtype == expected[key].dtype and found[key].shape == expected[key].shape, key
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize("name", FORMATS)
def test_a_truncated_file_is_named(name, tmp_path):
    whole = (GOLDEN / name).read_bytes()
    path = tmp_path / "pytorch_model.bin"
    for size in (0, 1, 9, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"pytorch_model\.bin: (damaged or truncated|found no zip and no pickle)"):
            read_torch_file(path)


def zipped(program, path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in files.items():
            archive.writestr(f"archive/data/{name}", content)
    return path


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def test_nothing_is_ever_called(tmp_path):
    import os

    touched = tmp_path / "touched"
    for value in (
        Call(os.system, f"touch {touched}"),
        {"weight": Call(open, str(touched), "w")},
        Call(eval, f"open({str(touched)!r}, 'w')"),
        {"weight": Call(getattr, OrderedDict, "fromkeys")},
    ):
        for protocol in (2, 4):
            program = pickle.dumps(value, protocol)
            with pytest.raises(ValueError, match=r"found the (name|pickle operation)"):
                read_torch_file(zipped(program, tmp_path / "evil.bin"))
            (tmp_path / "legacy.bin").write_bytes(pickle.dumps(LEGACY_MAGIC, 2) + pickle.dumps(1001, 2) + program)
            with pytest.raises(ValueError, match=r"found the (name|pickle operation)"):
                read_torch_file(tmp_path / "legacy.bin")
    assert not touched.exists()


def test_names_of_torch_do_nothing_but_make_tensors(tmp_path):
    for program, words in (
        (b"\x80\x02ctorch\nload\n.", "found the name torch.load"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(I1\ntR.", "found the pickle operation INT"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01tR.", "found a call of"),
        (b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.", "found a call of"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "found the reference"),
        (b"\x80\x02]K\x01a.", "found a list"),
        (b"\x80\x02}X\x01\x00\x00\x00aK\x01s.", "found 'a', a int"),
        (b"\x80\x02K\x01K\x02K\x03s.", "found items of something that is not a dict"),
        (b"\x80\x02s.", "damaged or truncated"),
        (b"\x80\x02h\x05.", "damaged or truncated"),
    ):
        with pytest.raises(ValueError, match=words):
            read_torch_file(zipped(program, tmp_path / "wrong.bin"))


def tensor_program(size, offset, shape, strides, key="0"):
    """The pickle of {"w": a tensor of float32}, as torch.save writes it."""

    def value(x):
        return pickle.dumps(x, 2)[2:-1]  # without the operations that begin and end a pickle

    storage = b"(" + value("storage") + b"ctorch\nFloatStorage\n" + value(key) + value("cpu") + value(size) + b"tQ"
    arguments = storage + b"".join(map(value, (offset, shape, strides, False, {})))
    return b"\x80\x02}" + value("w") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tRs."


def test_a_view_beyond_its_storage_is_refused(tmp_path):
    data = np.arange(6, dtype="<f4").tobytes()
    path = tmp_path / "view.bin"
    found = read_torch_file(zipped(tensor_program(6, 1, (2, 2), (2, 1)), path, **{"0": data}))
    np.testing.assert_array_equal(found["w"], [[1, 2], [3, 4]])
    for size, offset, shape, strides, content, words in (
        (6, 3, (2, 2), (2, 1), data, "found w beyond the end"),
        (6, 0, (2**31, 2**31), (0, 0), data, "found w beyond the end"),
        (6, 0, (2,), (-1,), data, "found a call of"),
        (6, -1, (2,), (1,), data, "found a call of"),
        (2**62, 0, (1,), (1,), data, "found 24 bytes of archive/data/0"),
        (6, 0, (2,), (1,), data[:-1], "found 23 bytes of archive/data/0"),
    ):
        with pytest.raises(ValueError, match=words):
            read_torch_file(zipped(tensor_program(size, offset, shape, strides), path, **{"0": content}))
    with pytest.raises(ValueError, match=r"found no bytes of archive/data/\.\./\.\./secret"):
        read_torch_file(zipped(tensor_program(6, 0, (2,), (1,), "../../secret"), path, **{"0": data}))
