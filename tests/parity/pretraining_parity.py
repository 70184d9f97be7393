"""Both pretraining models, tfkor's encoder with heads and the one of `transformers`: logits, losses and gradients."""

import numpy as np
from encoder_parity import model_and_config
from keras import ops
from parity import (
    assigned,
    huggingface_config,
    load_golden,
    load_weights,
    random_state,
    recipe_weights,
    value_and_gradients,
)

from tfkor.interop import from_huggingface, to_huggingface
from tfkor.layers import DiscriminatorHead, MaskedLmHead, PairHead, gather_positions
from tfkor.layers.inputs import INPUT_NAMES

MODELS = {  # the class of transformers -> architecture, heads
    "BertForPreTraining": ("bert", (MaskedLmHead, PairHead)),
    "BertForMaskedLM": ("bert", (MaskedLmHead,)),
    "AlbertForPreTraining": ("albert", (MaskedLmHead, PairHead)),
    "RobertaForMaskedLM": ("roberta", (MaskedLmHead,)),
    "DebertaV2ForMaskedLM": ("deberta", (MaskedLmHead,)),
    "ElectraForMaskedLM": ("electra", (MaskedLmHead,)),
    "ElectraForPreTraining": ("electra", (DiscriminatorHead,)),
}


def recipe_labels(config, inputs):
    """Returns what the losses need: masked positions [B, P], their ids and weights, pair labels, replaced [B, S]."""
    batch, length = inputs["input_word_ids"].shape
    random = random_state("labels")
    positions = np.stack([random.permutation(length)[:4] for _ in range(batch)])
    return {
        "masked_lm_positions": positions.astype("int32"),
        "masked_lm_ids": random.randint(0, config.vocab_size, positions.shape).astype("int32"),
        "masked_lm_weights": (np.arange(4) < 4 - np.arange(batch)[:, None] % 3).astype("float32"),
        "pair_labels": (np.arange(batch) % 2).astype("int32"),
        "replaced": random.randint(0, 2, (batch, length)).astype("int32"),
    }


def new_model(name, config, weights=None):
    """Returns (encoder, heads) with weights under the names of `transformers`, by default the recipe's."""
    architecture, heads = MODELS[name]
    encoder = model_and_config(architecture)[0](config, dtype="float32")
    heads = [head.of(encoder) for head in heads]
    weights = pretraining_weights(encoder, heads) if weights is None else weights
    from_huggingface(encoder, weights, heads)
    return encoder, heads


def pretraining_weights(encoder, heads):
    tensors = to_huggingface(encoder, heads)
    weights = recipe_weights({name: array.shape for name, array in tensors.items()})
    table = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    weights[table] *= 25  # so that the logits are far from equal
    for name in tensors:  # the output layer is the word embeddings, and has one bias
        if name.endswith(("decoder.weight", "lm_head.weight")):
            weights[name] = weights[table]
        if name.endswith("decoder.bias"):
            weights[name] = weights[name.replace("decoder.bias", "bias")]
    return weights


def reference(name, config, inputs):
    """Returns what `transformers` computes with the recipe's weights and labels."""
    encoder, heads = new_model(name, config)
    weights = to_huggingface(encoder, heads)
    return run_huggingface(name, config, weights, inputs, recipe_labels(config, inputs))


def run_huggingface(name, config, weights, inputs, labels):
    """Returns logits, the loss and gradients of a pretraining model of `transformers` as a flat dict of arrays."""
    import torch
    import transformers

    architecture, heads = MODELS[name]
    model = load_weights(getattr(transformers, name)(huggingface_config(architecture, config)), weights)
    word_ids, mask, segment_ids = (torch.from_numpy(inputs[name]).long() for name in INPUT_NAMES)
    rows, positions = np.arange(len(word_ids))[:, None], labels["masked_lm_positions"]
    masked = np.full(word_ids.shape, -100)
    masked[rows, positions] = np.where(labels["masked_lm_weights"], labels["masked_lm_ids"], -100)
    given = {"labels": torch.from_numpy(labels["replaced"] if DiscriminatorHead in heads else masked).long()}
    if PairHead in heads:
        label = "next_sentence_label" if architecture == "bert" else "sentence_order_label"
        given[label] = torch.from_numpy(labels["pair_labels"]).long()
    output = model(word_ids, attention_mask=mask, token_type_ids=segment_ids, **given)
    output.loss.backward()
    arrays = {"loss": output.loss}
    if MaskedLmHead in heads:
        logits = output.prediction_logits if PairHead in heads else output.logits
        arrays["masked_lm_logits"] = logits[rows, positions]
    if PairHead in heads:
        arrays["pair_logits"] = output.seq_relationship_logits if architecture == "bert" else output.sop_logits
    if DiscriminatorHead in heads:
        arrays["discriminator_logits"] = output.logits
    arrays |= {f"gradients/{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {name: tensor.detach().numpy() for name, tensor in arrays.items()}


def run_tfkor(encoder, heads, inputs, labels):
    """Returns logits, the loss and gradients under the names of `run_huggingface`."""
    heads_by_kind = {type(head): head for head in heads}

    def compute():
        pooled, sequence = encoder([inputs[name] for name in INPUT_NAMES])
        outputs, loss = {}, 0.0
        if MaskedLmHead in heads_by_kind:
            x = gather_positions(sequence, labels["masked_lm_positions"])  # [B, P, H]
            logits = heads_by_kind[MaskedLmHead](x, encoder.word_embeddings)  # [B, P, V]
            losses = ops.sparse_categorical_crossentropy(labels["masked_lm_ids"], logits, from_logits=True)
            loss += mean(losses, labels["masked_lm_weights"])
            outputs["masked_lm_logits"] = logits
        if PairHead in heads_by_kind:
            outputs["pair_logits"] = logits = heads_by_kind[PairHead](pooled)  # [B, 2]
            loss += ops.mean(ops.sparse_categorical_crossentropy(labels["pair_labels"], logits, from_logits=True))
        if DiscriminatorHead in heads_by_kind:
            outputs["discriminator_logits"] = logits = heads_by_kind[DiscriminatorHead](sequence)  # [B, S]
            losses = ops.softplus(logits) - logits * labels["replaced"].astype("float32")
            loss += mean(losses, inputs["input_mask"].astype("float32"))
        return loss, {"loss": loss, **outputs}

    arrays, gradients = value_and_gradients(compute, [encoder, *heads])
    idle = {weight for weight, gradient in gradients.items() if gradient is None}  # a pooler without a head
    assert idle in (set(), {id(weight) for weight in encoder.pooler.weights})
    gradients |= {id(w): ops.zeros_like(w) for w in encoder.pooler.weights if id(w) in idle}
    with assigned(gradients, [encoder, *heads]):
        arrays |= {f"gradients/{name}": array for name, array in to_huggingface(encoder, heads).items()}
    arrays = {name: ops.convert_to_numpy(array) for name, array in arrays.items()}
    return {name: array for name, array in arrays.items() if not name.endswith(TIED)}


TIED = ("decoder.weight", "decoder.bias", "lm_head.weight")  # parameters of transformers that are named once


def mean(losses, weights):
    return ops.sum(losses * weights) / ops.sum(weights)


def golden_model(path):
    """Returns (encoder, heads, inputs, labels, what the reference computes) for a golden file, named as the class."""
    architecture = MODELS[path.stem][0]
    config, inputs, expected = load_golden(path, model_and_config(architecture)[1])
    return *new_model(path.stem, config), inputs, recipe_labels(config, inputs), expected
