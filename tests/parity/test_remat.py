"""`encoder.gradient_checkpointing = True` changes no number: not the loss, not a gradient, not what dropout drops."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from remat_parity import compare, inputs_of, new_encoder, run

from tfkor import Albert, AlbertConfig, Bert, BertConfig, Deberta, DebertaConfig

ON_TENSORFLOW = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="calls TensorFlow itself")


def assert_equal(found, dropout):
    assert found["loss"] <= 1e-6 and found["gradients"] <= 1e-5, found
    assert found["states_equal"] and (found["states_moved"] or not dropout), found


@ON_TENSORFLOW
@pytest.mark.parametrize(("compiled", "dropout"), [(False, 0.0), (False, 0.3), ("graph", 0.3), ("xla", 0.3)])
def test_recomputation_changes_nothing(compiled, dropout):
    assert_equal(compare(new_encoder(Bert, BertConfig, dropout), compiled), dropout)


@ON_TENSORFLOW
def test_recomputation_of_shared_layers_changes_nothing():
    assert_equal(compare(new_encoder(Albert, AlbertConfig, 0.3), "graph"), 0.3)


@ON_TENSORFLOW
@pytest.mark.parametrize("attentions", [False, True])
@pytest.mark.parametrize("changes", [{}, dict(share_att_key=False, norm_rel_ebd="none", position_buckets=-1)])
def test_recomputation_gives_a_gradient_to_what_all_blocks_take(changes, attentions):
    """The table of relative positions lies outside of the blocks."""
    encoder = new_encoder(Deberta, DebertaConfig, 0.3, **{"position_buckets": 6, "initializer_range": 0.3, **changes})
    encoder.output_attentions = attentions
    _, gradients, _ = run(encoder, True, "graph")
    table = encoder.relative_embeddings.embeddings
    number = [variable is table for variable in encoder.trainable_variables].index(True)
    assert np.abs(gradients[number]).max() > 1e-3
    assert_equal(compare(encoder, "graph"), 0.3)


def test_outputs_are_the_same_with_attentions_on_request():
    encoder = new_encoder(Bert, BertConfig, 0.3)
    names = ["hidden_states", "attentions"]
    expected = [encoder(inputs_of(), outputs=[name])[name] for name in names]
    encoder.gradient_checkpointing = True
    for name, ours in zip(names, expected, strict=True):
        again = encoder(inputs_of(), outputs=[name])[name]
        assert all(np.array_equal(a, b) for a, b in zip(ours, again, strict=True)), name
    pooled = encoder.pooled(inputs_of())
    encoder.gradient_checkpointing = False
    assert np.array_equal(pooled, encoder.pooled(inputs_of()))


@pytest.mark.slow
def test_recomputation_on_jax_changes_nothing_and_saves_memory():
    pytest.importorskip("jax", reason="JAX is not installed: pip install '.[jax]'")
    program = Path(__file__).parent / "remat_parity.py"
    flags = "--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"  # others recompute early, and keep it
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    environment |= {"PYTHONPATH": str(program.parents[2])}
    done = subprocess.run([sys.executable, program], env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *found, memory = map(json.loads, done.stdout.splitlines())
    for each in found:
        assert_equal(each, 0.3)
    assert memory["with"] < 0.6 * memory["without"], memory
