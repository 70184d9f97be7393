"""What all tests share: a quiet TensorFlow, the folder of real data, and small encoders."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before TensorFlow is imported
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: several threads each would only wait
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

LONGEST = (
    "test_strategies.py",
    "test_notebooks.py",
    "test_lost_workers.py",
    "test_killed.py",
    "test_memory_plan.py",
    "test_export_model.py",
)


def pytest_collection_modifyitems(items):
    """The files that take longest begin, so that with several workers none is left alone with one of them."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data sets: TFKOR_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("TFKOR_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
    if not folder.is_dir():
        pytest.skip(f"there are no data sets in {folder}: set TFKOR_DATA to a folder that holds them")
    return folder


@pytest.fixture
def tiny_config():
    """A BertConfig whose encoder is built in a moment; without dropout in it, training=True is repeatable."""
    from tfkor import BertConfig

    return BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
    )


@pytest.fixture
def tiny_encoder(tiny_config):
    """A Bert of `tiny_config` in float32."""
    import keras

    from tfkor import Bert

    keras.utils.set_random_seed(3)
    return Bert(tiny_config)


@pytest.fixture
def three_arrays():
    """input_word_ids, input_mask and segment_ids [3, 8]: rows of 8, 5 and 3 tokens, padded."""
    lengths = np.array([[8], [5], [3]])
    mask = (np.arange(8) < lengths).astype("int32")
    word_ids = np.random.default_rng(0).integers(1, 40, (3, 8)).astype("int32") * mask
    return [word_ids, mask, (np.arange(8) > lengths // 2).astype("int32") * mask]
