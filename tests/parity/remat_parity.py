"""An encoder with recomputation against the same encoder without: the loss, all gradients, the dropped values.

As a program, `python tests/parity/remat_parity.py` prints the differences as a line of JSON, on the backend that
KERAS_BACKEND says; on JAX also the memory that the compiler plans for both, in bytes.
"""

import json

import keras
import numpy as np
from keras import ops

from tfkor import Bert, BertConfig, Deberta, DebertaConfig

SIZES = dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)


def new_encoder(model, config, dropout, **changes):
    rates = dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    keras.utils.set_random_seed(2)
    return model(config(**{**SIZES, **rates, **changes}))


def inputs_of(rows=3, length=8):
    word_ids = np.random.default_rng(0).integers(0, 40, (rows, length)).astype("int32")
    mask = (np.arange(length) < np.arange(rows)[:, None] * 2 + 3).astype("int32")
    return word_ids, mask, 0 * mask


def loss_of(encoder, inputs):
    pooled, x = encoder(inputs, training=True)
    return ops.mean(ops.square(x)[:, :, :5]) + ops.mean(pooled)


def run(encoder, remat, compiled=True):
    """Returns (loss, gradients, the state of each dropout after the step); the states before are not changed."""
    encoder.gradient_checkpointing = remat
    inputs, states = inputs_of(), encoder.non_trainable_variables
    before = [ops.convert_to_numpy(state) for state in states]
    step = jax_step if keras.backend.backend() == "jax" else tensorflow_step
    loss, gradients, after = step(encoder, lambda: loss_of(encoder, inputs), compiled)
    for state, value in zip(states, before, strict=True):
        state.assign(value)
    return float(loss), [np.array(x) for x in gradients], [np.array(x) for x in after]


def tensorflow_step(encoder, loss_function, compiled):
    import tensorflow as tf

    def step():
        with tf.GradientTape() as tape:
            loss = loss_function()
        gradients = tape.gradient(loss, [weight.value for weight in encoder.trainable_variables])
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    step = tf.function(step, jit_compile=compiled == "xla") if compiled else step
    return *step(), [ops.convert_to_numpy(state) for state in encoder.non_trainable_variables]


def jax_step(encoder, loss_function, compiled):
    import jax

    return jax.jit(jax_function(encoder, loss_function))(*jax_arguments(encoder))


def jax_function(encoder, loss_function):
    import jax

    weights, states = encoder.trainable_variables, encoder.non_trainable_variables

    def loss_and_states(values, old):
        with keras.StatelessScope(state_mapping=[*zip(weights, values), *zip(states, old)]) as scope:
            loss = loss_function()
        return loss, [scope.get_current_value(state) for state in states]

    def step(values, old):
        (loss, new), gradients = jax.value_and_grad(loss_and_states, has_aux=True)(values, old)
        return loss, gradients, new

    return step


def jax_arguments(encoder):
    variables = encoder.trainable_variables, encoder.non_trainable_variables
    return [[variable.value for variable in part] for part in variables]


def compare(encoder, compiled=True):
    """Returns the differences that recomputation makes, and whether dropout's seeds were drawn."""
    expected, found = run(encoder, False, compiled), run(encoder, True, compiled)
    moved = [
        bool((new != ops.convert_to_numpy(old)).any()) for new, old in zip(found[2], encoder.non_trainable_variables)
    ]
    return {
        "loss": abs(expected[0] - found[0]),
        "gradients": float(max(np.abs(a - b).max() for a, b in zip(expected[1], found[1], strict=True))),
        "states_equal": all(np.array_equal(a, b) for a, b in zip(expected[2], found[2], strict=True)),
        "states_moved": all(moved),
    }


def planned_memory(remat):
    """Returns the bytes of temporaries in a compiled step of a deeper encoder on longer rows."""
    import jax

    encoder = new_encoder(Bert, BertConfig, dropout=0.0, num_hidden_layers=4)
    encoder.gradient_checkpointing, inputs = remat, inputs_of(8, 128)
    step = jax_function(encoder, lambda: ops.mean(encoder(inputs, training=True)[1]))
    return jax.jit(step).lower(*jax_arguments(encoder)).compile().memory_analysis().temp_size_in_bytes


if __name__ == "__main__":
    print(json.dumps(compare(new_encoder(Bert, BertConfig, dropout=0.3))))
    print(json.dumps(compare(new_encoder(Deberta, DebertaConfig, dropout=0.3, position_buckets=6))))
    if keras.backend.backend() == "jax":
        print(json.dumps({"without": planned_memory(False), "with": planned_memory(True)}))
