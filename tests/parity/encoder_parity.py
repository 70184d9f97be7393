"""Both encoders, tfkor's and the one of `transformers`, on the same weights and inputs: outputs and gradients."""

import keras
from parity import (
    assigned,
    huggingface_class,
    huggingface_config,
    load_golden,
    load_weights,
    random_state,
    recipe_weights,
    value_and_gradients,
)

from tfkor.interop import from_huggingface, to_huggingface
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.models.registry import get_architecture as model_and_config  # "bert" -> (Bert, BertConfig)

OUTPUTS = ("pooled_output", "sequence_output", "hidden_states", "attentions")


def encoder_weights(architecture, config):
    """Returns the recipe's weights of an encoder under the names of `transformers`."""
    model, _ = model_and_config(architecture)
    return recipe_weights({name: array.shape for name, array in to_huggingface(model(config)).items()})


def loss_weights(sequence_shape):
    """Returns (for pooled_output [B, H], for sequence_output [B, S, H]); the loss is the weighted sum of both."""
    batch, length, hidden = sequence_shape
    random = random_state("loss")
    pooled, sequence = random.standard_normal((batch, hidden)), random.standard_normal((batch, length, hidden))
    return (pooled / batch).astype("float32"), (sequence / (batch * length)).astype("float32")


def run_huggingface(architecture, config, weights, inputs):
    """Returns outputs and gradients of transformers.BertModel, or another, as a flat dict of arrays."""
    import torch

    model = huggingface_class(architecture, "Model")(huggingface_config(architecture, config))
    load_weights(model, weights)
    word_ids, mask, segment_ids = (torch.from_numpy(inputs[name]).long() for name in INPUT_NAMES)
    output = model(
        word_ids, attention_mask=mask, token_type_ids=segment_ids, output_hidden_states=True, output_attentions=True
    )
    sequence = output.last_hidden_state
    pooled = getattr(output, "pooler_output", sequence[:, 0])  # some have no pooler
    for_pooled, for_sequence = (torch.from_numpy(array) for array in loss_weights(sequence.shape))
    ((pooled * for_pooled).sum() + (sequence * for_sequence).sum()).backward()
    arrays = {"pooled_output": pooled, "sequence_output": sequence}
    arrays |= {f"hidden_states/{i}": state for i, state in enumerate(output.hidden_states)}
    arrays |= {f"attentions/{i}": attention for i, attention in enumerate(output.attentions)}
    arrays |= {f"gradients/{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {name: tensor.detach().numpy() for name, tensor in arrays.items()}


def new_encoder(architecture, config, weights):
    """Returns an encoder in float32 that gives all that is compared."""
    model, _ = model_and_config(architecture)
    encoder = model(config, output_hidden_states=True, output_attentions=True, dtype="float32")
    from_huggingface(encoder, weights)
    return encoder


def run_tfkor(encoder, inputs):
    """Returns outputs and gradients of an encoder under the names of `run_huggingface`."""
    for_pooled, for_sequence = loss_weights((*inputs["input_word_ids"].shape, encoder.config.hidden_size))

    def loss():
        output = encoder(inputs)
        pooled, sequence = output["pooled_output"], output["sequence_output"]
        return keras.ops.sum(pooled * for_pooled) + keras.ops.sum(sequence * for_sequence), output

    output, gradients = value_and_gradients(loss, [encoder])
    arrays = {name: output[name] for name in OUTPUTS[:2]}
    arrays |= {f"{name}/{i}": array for name in OUTPUTS[2:] for i, array in enumerate(output[name])}
    with assigned(gradients, [encoder]):
        arrays |= {f"gradients/{name}": array for name, array in to_huggingface(encoder).items()}
    return {name: keras.ops.convert_to_numpy(array) for name, array in arrays.items()}


def golden_encoder(path):
    """Returns (an encoder of the recipe's weights, inputs, what the reference computes) for a golden file."""
    architecture = path.parent.name
    config, inputs, expected = load_golden(path, model_and_config(architecture)[1])
    return new_encoder(architecture, config, encoder_weights(architecture, config)), inputs, expected
