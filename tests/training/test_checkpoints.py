"""Checkpoints: complete or absent, checked, the last ones kept."""

import numpy as np
import pytest

from tfkor.training import Checkpoints

GROUPS = {"model": {"a/kernel": np.arange(6.0).reshape(2, 3), "b": np.array(3, np.int64)}, "optimizer": {}}


def test_what_was_saved_comes_back(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    assert checkpoints.latest() is None
    checkpoints.save(7, GROUPS, {"data": [1, 2]})
    step, groups, state = checkpoints.latest()
    assert (step, state) == (7, {"data": [1, 2]})
    assert list(groups) == ["model", "optimizer"]
    for name, value in GROUPS["model"].items():
        np.testing.assert_array_equal(groups["model"][name], value)
        assert groups["model"][name].dtype == value.dtype


def test_the_last_ones_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30, 40):
        checkpoints.save(step, GROUPS)
    assert checkpoints.steps() == [30, 40]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000030", "step-00000040"]


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no state", "half a state"])
def test_a_damaged_checkpoint_is_named_and_skipped(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, GROUPS, {"step": step})
    model, state = tmp_path / "step-00000002/model.npz", tmp_path / "step-00000002/state.json"
    data = model.read_bytes()
    {
        "cut": lambda: model.write_bytes(data[:-1]),
        "changed": lambda: model.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:]),
        "missing": model.unlink,
        "no state": state.unlink,
        "half a state": lambda: state.write_bytes(state.read_bytes()[:20]),
    }[damage]()
    with pytest.raises(ValueError, match=r"step-00000002/(model\.npz|state\.json): "):
        checkpoints.load(2)
    assert checkpoints.latest()[2] == {"step": 1}
    with pytest.raises(ValueError, match="Delete that folder to resume from the one before"):
        Checkpoints(tmp_path, on_damage="stop").latest()


def test_no_whole_checkpoint_at_all_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, GROUPS)
    (tmp_path / "step-00000001/model.npz").unlink()
    with pytest.raises(ValueError, match="none of its 1 checkpoints is complete"):
        checkpoints.latest()


def test_what_a_killed_save_left_behind_goes_with_the_next_one(tmp_path):
    (tmp_path / ".step-00000003.tmp-abc").mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    checkpoints.save(4, GROUPS)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000004"]


def test_bad_options_are_named(tmp_path):
    with pytest.raises(ValueError, match="on_damage is 'ignore'"):
        Checkpoints(tmp_path, on_damage="ignore")
    with pytest.raises(ValueError, match="keep is 0"):
        Checkpoints(tmp_path, keep=0)
