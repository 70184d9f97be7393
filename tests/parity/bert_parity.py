"""The parity check of Bert: weights and inputs by a fixed recipe, both models, and their largest differences.

As a program, `python tests/parity/bert_parity.py GOLDEN.npz [ENCODER.keras]` prints the differences of tfkor from a
golden file as a line of JSON, on the backend that KERAS_BACKEND says; for a saved encoder, one more line.
"""

import json
import sys
import zlib

import keras
import numpy as np

from tfkor import Bert, BertConfig
from tfkor.interop import from_huggingface, to_huggingface

TOLERANCE = 1e-4
INPUTS = ("input_word_ids", "input_mask", "segment_ids")
OUTPUTS = ("pooled_output", "sequence_output", "hidden_states", "attentions")


def random_state(name):
    """Generator for the array of that name; NumPy promises that RandomState gives the same numbers for ever."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def recipe_weights(config):
    """Returns a state_dict of BertModel in which every tensor matters: no bias is zero, no norm is the identity.

    Embeddings are as small as in a trained BERT, so that the epsilon of the first norm counts; the kernels keep the
    scale of their input, so that activations reach where the gelus differ.
    """
    weights = {}
    for name, array in to_huggingface(Bert(config)).items():
        values = random_state(name).standard_normal(array.shape)
        if "LayerNorm" in name:
            values = values * 0.2 + name.endswith("weight")
        elif "embeddings" in name:
            values *= 0.02
        elif name.endswith("bias"):
            values *= 0.2
        else:
            values *= array.shape[1] ** -0.5
        weights[name] = values.astype("float32")
    return weights


def recipe_inputs(config, length):
    """Returns the three inputs [4, S]: a full row, a padded one of one segment, one of two, and one with gaps."""
    random = random_state("inputs")
    word_ids = random.randint(1, config.vocab_size, (4, length))
    word_ids[0, :4] = [0, config.vocab_size - 1, 1, 1][:length]
    position = np.arange(length)
    mask = np.stack([position >= 0, position <= length // 3, position < 3 * length // 4, position % 3 != 1])
    segments = [position % config.type_vocab_size, 0 * position, position >= length // 2, position >= length // 3]
    segments = np.minimum(segments, config.type_vocab_size - 1)
    return dict(zip(INPUTS, (array.astype("int32") for array in (word_ids, mask, segments)), strict=True))


def loss_weights(sequence_shape):
    """Returns (for pooled_output [B, H], for sequence_output [B, S, H]); the loss is the weighted sum of both."""
    batch, length, hidden = sequence_shape
    random = random_state("loss")
    pooled, sequence = random.standard_normal((batch, hidden)), random.standard_normal((batch, length, hidden))
    return (pooled / batch).astype("float32"), (sequence / (batch * length)).astype("float32")


def run_huggingface(config, weights, inputs):
    """Returns outputs and gradients of transformers.BertModel as a flat dict of arrays."""
    import torch
    import transformers

    # without pad_token_id, which in PyTorch holds back the gradient of the row of [PAD]
    options = {"attn_implementation": "eager", "pad_token_id": None}
    model = transformers.BertModel(transformers.BertConfig(**config.to_dict(), **options)).eval()
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    word_ids, mask, segment_ids = (torch.from_numpy(inputs[name]).long() for name in INPUTS)
    output = model(word_ids, mask, segment_ids, output_hidden_states=True, output_attentions=True)
    sequence, pooled = output.last_hidden_state, output.pooler_output
    for_pooled, for_sequence = (torch.from_numpy(array) for array in loss_weights(sequence.shape))
    ((pooled * for_pooled).sum() + (sequence * for_sequence).sum()).backward()
    arrays = {"pooled_output": pooled, "sequence_output": sequence}
    arrays |= {f"hidden_states/{i}": state for i, state in enumerate(output.hidden_states)}
    arrays |= {f"attentions/{i}": attention for i, attention in enumerate(output.attentions)}
    arrays |= {f"gradients/{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {name: tensor.detach().numpy() for name, tensor in arrays.items()}


def new_encoder(config, weights):
    """Returns a Bert in float32 that gives all that is compared."""
    encoder = Bert(config, output_hidden_states=True, output_attentions=True, dtype="float32")
    from_huggingface(encoder, weights)
    return encoder


def run_tfkor(encoder, inputs):
    """Returns outputs and gradients of an encoder under the names of `run_huggingface`."""
    for_pooled, for_sequence = loss_weights((*inputs["input_word_ids"].shape, encoder.config.hidden_size))

    def loss(output):
        pooled, sequence = output["pooled_output"], output["sequence_output"]
        return keras.ops.sum(pooled * for_pooled) + keras.ops.sum(sequence * for_sequence)

    gradients = jax_gradients if keras.backend.backend() == "jax" else tensorflow_gradients
    output, values = gradients(encoder, inputs, loss)
    holder = Bert(encoder.config, dtype="float32")  # its map of names takes gradients as well as weights
    for weight, value in zip(holder.trainable_weights, values, strict=True):
        weight.assign(value)
    arrays = {name: output[name] for name in OUTPUTS[:2]}
    arrays |= {f"{name}/{i}": array for name in OUTPUTS[2:] for i, array in enumerate(output[name])}
    arrays |= {f"gradients/{name}": array for name, array in to_huggingface(holder).items()}
    return {name: keras.ops.convert_to_numpy(array) for name, array in arrays.items()}


def tensorflow_gradients(encoder, inputs, loss):
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)  # GPUs would multiply with 10 bits
    with tf.GradientTape() as tape:
        output = encoder(inputs)
        value = loss(output)
    gradients = tape.gradient(value, [weight.value for weight in encoder.trainable_weights])
    return output, [tf.convert_to_tensor(gradient) for gradient in gradients]


def jax_gradients(encoder, inputs, loss):
    import jax

    def run(trainable, others):
        output, _ = encoder.stateless_call(trainable, others, inputs)
        return loss(output), output

    others = [weight.value for weight in encoder.non_trainable_variables]
    with jax.default_matmul_precision("highest"):
        compiled = jax.jit(jax.value_and_grad(run, has_aux=True))
        (_, output), gradients = compiled([weight.value for weight in encoder.trainable_weights], others)
    return output, gradients


def differences(expected, found):
    """Returns the largest absolute difference of each kind of array: the outputs, and all gradients together."""
    if set(expected) != set(found):
        raise ValueError(f"other arrays than expected: {sorted(set(expected) ^ set(found))}")
    largest = dict.fromkeys((*OUTPUTS, "gradients"), 0.0)
    for name, array in expected.items():
        assert array.shape == found[name].shape, name
        kind = name.split("/")[0]
        largest[kind] = max(largest[kind], float(np.abs(array - found[name]).max()), key=nan_is_largest)
    return largest


def nan_is_largest(value):
    return (np.isnan(value), value)


def save_golden(path, config, inputs, arrays, **versions):
    """Writes config, inputs and the reference's arrays; the weights are the recipe's."""
    about = json.dumps({"config": config.to_dict(), "written with": versions})
    np.savez_compressed(path, about=about, **inputs, **arrays)


def load_golden(path):
    """Returns (config, inputs, arrays) of a golden file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    config = BertConfig(**json.loads(str(arrays.pop("about")))["config"])
    inputs = {name: arrays.pop(name) for name in INPUTS}
    return config, inputs, arrays


def main(golden, *saved):
    config, inputs, expected = load_golden(golden)
    for encoder in (new_encoder(config, recipe_weights(config)), *map(keras.saving.load_model, saved)):
        found = differences(expected, run_tfkor(encoder, inputs))
        print(json.dumps({"backend": keras.backend.backend(), **found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
