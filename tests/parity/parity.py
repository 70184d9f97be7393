"""What the parity checks share: weights and inputs by a fixed recipe, gradients on both backends, golden files."""

import contextlib
import json
import zlib

import keras
import numpy as np

from tfkor.interop.architectures import get_record
from tfkor.layers.inputs import INPUT_NAMES

TOLERANCE = 1e-4


def random_state(name):
    """Generator for the array of that name; NumPy promises that RandomState gives the same numbers for ever."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def recipe_weights(shapes):
    """Returns a state_dict of these names and shapes in which every tensor matters: no bias is zero, no norm is one.

    Embeddings are as small as in a trained BERT, so that the epsilon of the first norm counts; the kernels keep the
    scale of their input, so that activations reach where the gelus differ.
    """
    weights = {}
    for name, shape in shapes.items():
        values = random_state(name).standard_normal(shape)
        if "norm" in name.lower():
            values = values * 0.2 + name.endswith("weight")
        elif "embeddings." in name and "rel_embeddings" not in name:
            values *= 0.02
        elif name.endswith("bias"):
            values *= 0.2
        else:
            values *= shape[1] ** -0.5
        weights[name] = values.astype("float32")
    return weights


def recipe_inputs(config, length):
    """Returns the three inputs [4, S]: a full row, a padded one of one segment, one of two, and one with gaps."""
    random = random_state("inputs")
    word_ids = random.randint(1, config.vocab_size, (4, length))
    word_ids[0, :4] = [0, config.vocab_size - 1, 1, 1][:length]
    position = np.arange(length)
    mask = np.stack([position >= 0, position <= length // 3, position < 3 * length // 4, position % 3 != 1])
    types = max(1, config.type_vocab_size)
    segments = [position % types, 0 * position, position >= length // 2, position >= length // 3]
    segments = np.minimum(segments, types - 1)
    if type(config).__name__ == "RobertaConfig":
        word_ids[word_ids == 1] = 2
        word_ids[~mask] = 1  # by which the reference knows padding
        segments = 0 * segments
    return dict(zip(INPUT_NAMES, (array.astype("int32") for array in (word_ids, mask, segments)), strict=True))


def huggingface_class(architecture, ending):
    """Returns transformers.BertModel for "bert" and "Model"."""
    import transformers

    return getattr(transformers, get_record(architecture).class_name + ending)


def huggingface_config(architecture, config):
    """Returns the config of `transformers` for one of tfkor."""
    # without pad_token_id, which in PyTorch holds back the gradient of the row of [PAD]
    options = {"attn_implementation": "eager", "pad_token_id": 1 if architecture == "roberta" else None}
    return huggingface_class(architecture, "Config")(**config.to_dict(), **options)


def load_weights(model, weights):
    """Assigns `weights` to a model of `transformers`, in which padding then gets a gradient like any token."""
    import torch

    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return model.eval()


def value_and_gradients(function, models):
    """function() -> (loss, other outputs). Returns the other outputs, and a gradient for each weight of the models."""
    gradients = jax_gradients if keras.backend.backend() == "jax" else tensorflow_gradients
    weights = [weight for model in models for weight in model.trainable_weights]
    outputs, values = gradients(function, weights)
    return outputs, dict(zip((id(weight) for weight in weights), values, strict=True))


def tensorflow_gradients(function, weights):
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)  # GPUs would multiply with 10 bits
    with tf.GradientTape() as tape:
        loss, outputs = function()
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    return outputs, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in gradients]


def jax_gradients(function, weights):
    import jax

    def run(values):
        with keras.StatelessScope(state_mapping=zip(weights, values)):
            return function()

    with jax.default_matmul_precision("highest"):
        compiled = jax.jit(jax.value_and_grad(run, has_aux=True))
        (_, outputs), gradients = compiled([weight.value for weight in weights])
    return outputs, gradients


@contextlib.contextmanager
def assigned(gradients, models):
    """Inside, the weights of the models are their gradients: maps of names then take gradients as well as weights."""
    weights = [weight for model in models for weight in model.trainable_weights]
    before = [np.array(weight) for weight in weights]
    for weight in weights:
        weight.assign(gradients[id(weight)])
    yield
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value)


def differences(expected, found):
    """Returns the largest absolute difference of each kind of array: what stands before a slash in its name."""
    if set(expected) != set(found):
        raise ValueError(f"other arrays than expected: {sorted(set(expected) ^ set(found))}")
    largest = {}
    for name, array in expected.items():
        assert array.shape == found[name].shape, name
        kind = name.split("/")[0]
        difference = float(np.abs(array - found[name]).max())
        largest[kind] = max(largest.get(kind, 0.0), difference, key=lambda value: (np.isnan(value), value))
    return largest


def assert_equal(largest):
    assert all(difference <= TOLERANCE for difference in largest.values()), largest


def save_golden(path, config, inputs, arrays, **versions):
    """Writes config, inputs and the reference's arrays; the weights are the recipe's."""
    about = json.dumps({"config": config.to_dict(), "written with": versions})
    np.savez_compressed(path, about=about, **inputs, **arrays)


def load_golden(path, config_class):
    """Returns (config, inputs, arrays) of a golden file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    config = config_class(**json.loads(str(arrays.pop("about")))["config"])
    inputs = {name: arrays.pop(name) for name in INPUT_NAMES}
    return config, inputs, arrays
