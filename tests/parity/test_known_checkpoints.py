"""The true sizes of every known checkpoint, with random weights that transformers makes: in, run, out and in again.

Outputs and gradients differ by at most 1e-4, the tensors of the two folders by no bit, and transformers computes from
ours what it computed from its own. By default there is one of each architecture and width, with 2 of its layers;
TFKOR_FULL=1 takes every vocabulary and all layers, and needs 10 GB of memory:

    TFKOR_FULL=1 python -m pytest tests/parity/test_known_checkpoints.py -s
"""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from parity import TOLERANCE, random_state, recipe_inputs, tensorflow_gradients

from tfkor import zoo
from tfkor.files import read_json
from tfkor.interop import load_pretrained, save_huggingface
from tfkor.interop.architectures import get_record
from tfkor.interop.huggingface import is_kernel, weights_and_names
from tfkor.interop.tensors import read_tensors
from tfkor.layers import DiscriminatorHead, MaskedLmHead, PairHead

FULL = os.environ.get("TFKOR_FULL") == "1"
ENDINGS = {"Albert": "ForPreTraining", "Bert": "ForPreTraining", "Electra": "ForPreTraining"}  # others: ForMaskedLM


def class_name(known):
    """The class of transformers that holds most of what a file of this checkpoint may."""
    if known.name.startswith("FacebookAI/xlm-roberta"):
        return "XLMRobertaForMaskedLM"
    ending = "ForMaskedLM" if known.generator else ENDINGS.get(known.architecture, "ForMaskedLM")
    return get_record(known.architecture.lower()).class_name + ending


def distinct():
    """The known checkpoints that differ in class or sizes, each by the first name that has them."""
    found = {}
    for known in zoo.known_checkpoints().values():
        sizes = dict(known.config)
        if not FULL:
            sizes = {name: value for name, value in sizes.items() if name not in ("vocab_size", "num_hidden_layers")}
        if known.readable != "no" and (FULL or known.vocab_size < 200_000):  # XLM-R's take the longest
            found.setdefault((class_name(known), *sizes.values()), known)
    return {known.name: known for known in found.values()}


CHECKPOINTS = distinct()


def layers_of(known):
    return known.num_hidden_layers if FULL else 2


def make(known, folder):
    """A model of transformers with random weights, also in its norms and biases, and its folder."""
    import torch
    import transformers

    torch.manual_seed(0)
    values = {name: value for name, value in known.config.items() if name != "model_type"}
    values["num_hidden_layers"] = layers_of(known)
    name = class_name(known)
    config = getattr(transformers, re.sub("For.*", "Config", name))(**values, attn_implementation="eager")
    model = getattr(transformers, name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn_like(parameter)
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None  # by which PyTorch holds back a gradient
    model.save_pretrained(folder)
    return model


def run_there(model, inputs, **options):
    """[last hidden state, logits ...] of a model of transformers."""
    import torch

    ids, mask, types = (torch.from_numpy(value).long() for value in inputs.values())
    types = {} if "Roberta" in type(model).__name__ else {"token_type_ids": types}
    output = model(ids, attention_mask=mask, output_hidden_states=True, **types, **options)
    return [output.hidden_states[-1], *(value for name, value in output.items() if name.endswith("logits"))]


def run_here(found, inputs):
    """The same of what `load_pretrained` gave."""
    pooled, sequence = found.encoder(list(inputs.values()))
    calls = {
        MaskedLmHead: lambda head: head(sequence, found.encoder.word_embeddings),
        PairHead: lambda head: head(pooled),
        DiscriminatorHead: lambda head: head(sequence),
    }
    return [sequence, *(calls[name](found.heads[name]) for name in calls if name in found.heads)]


def factors(outputs, mask):
    """Random numbers for each output; padding has none. The sum of their products is what gradients are taken of."""
    random, out = random_state("loss"), []
    for output in outputs:
        numbers = random.standard_normal(output.shape) / np.prod(output.shape[:-1]) / np.sqrt(output.shape[-1])
        shown = mask.reshape(mask.shape + (1,) * (numbers.ndim - 2)) if output.shape[:2] == mask.shape else 1
        out.append((numbers * shown).astype("float32"))
    return out


def last_row(inputs, known):
    """(the first row of the inputs, its positions) where these are the last that the model has."""
    first = {name: value[:1] for name, value in inputs.items()}
    length = first["input_word_ids"].shape[1]
    return first, np.arange(known.max_length - length, known.max_length, dtype="int32")[None]


def expected_of(model, inputs, row, positions):
    """What transformers computes: outputs, gradients by name, and the last hidden state of the last row."""
    import torch

    last = model.config.num_hidden_layers - 1
    for name, parameter in model.named_parameters():
        layer = re.search(r"\.layer\.(\d+)\.", name)
        parameter.requires_grad_(layer is None or int(layer[1]) == last)
    outputs = run_there(model, inputs)
    weights = map(torch.from_numpy, factors([output.detach().numpy() for output in outputs], inputs["input_mask"]))
    sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True)).backward()
    embeddings = model.get_input_embeddings().weight  # which XLM-R's class names after its head
    named = [(name, p) for name, p in model.named_parameters() if p is not embeddings and p.grad is not None]
    gradients = {name: parameter.grad.numpy() for name, parameter in named}
    gradients[f"{model.base_model_prefix}.embeddings.word_embeddings.weight"] = embeddings.grad.numpy()
    with torch.no_grad():
        base = getattr(model, model.base_model_prefix)
        (last,) = run_there(base, row, position_ids=torch.from_numpy(positions).long())
    return [output.detach().numpy() for output in outputs], gradients, last.numpy()


def found_of(found, inputs, row, positions, names):
    """The same of tfkor, of the gradients with these names."""
    entries = weights_and_names(found.encoder, list(found.heads.values()))
    entries = [entry for entry in entries if set(entry[2]) <= set(names)]

    def compute():
        outputs = run_here(found, inputs)
        weights = factors(outputs, inputs["input_mask"])
        return sum(ops.sum(output * weight) for output, weight in zip(outputs, weights, strict=True)), outputs

    outputs, values = tensorflow_gradients(compute, [weight for weight, _, _ in entries])
    gradients = {}
    for (_, path, parts), value in zip(entries, values, strict=True):
        for name, part in zip(parts, np.split(np.asarray(value), len(parts), axis=-1), strict=True):
            gradients[name] = part.T if is_kernel(path) else part
    sequence = found.encoder({**row, "positions": positions})["sequence_output"]
    return list(map(ops.convert_to_numpy, outputs)), gradients, ops.convert_to_numpy(sequence)


def difference(ours, theirs):
    """The largest difference of two arrays, which is small beside their numbers too."""
    assert ours.shape == theirs.shape
    found, size = float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())
    assert found <= min(TOLERANCE, 1e-3 * max(size, 1e-2)), (found, size)
    return found


@pytest.mark.parametrize("known", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_true_sizes_go_in_out_and_in_again(transformers, known):
    import torch

    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "there", Path(folder) / "back"
        model = make(known, there)
        found = load_pretrained(there)
        config = found.encoder.config
        sizes = {**known.config, "num_hidden_layers": layers_of(known)}
        assert {name: getattr(config, name, value) for name, value in sizes.items()} == sizes
        assert type(found.encoder).__name__ == known.architecture and found.encoder.max_length == known.max_length

        inputs = recipe_inputs(config, 12)
        row, positions = last_row(inputs, known)
        outputs, gradients, last = expected_of(model, inputs, row, positions + config.position_offset)
        our_outputs, our_gradients, our_last = found_of(found, inputs, row, positions, gradients)
        shown = inputs["input_mask"][..., None]
        our_outputs[0], outputs[0] = our_outputs[0] * shown, outputs[0] * shown
        forward = [difference(*pair) for pair in zip([*our_outputs, our_last], [*outputs, last], strict=True)]
        assert set(our_gradients) == set(gradients)
        backward = {name: difference(our_gradients[name], value) for name, value in gradients.items()}

        save_huggingface(back, found.encoder, heads=list(found.heads.values()))
        ours, theirs = read_tensors(back), read_tensors(there)
        assert sorted(ours) == sorted(theirs)
        assert all(np.array_equal(ours[name].view("u4"), value.view("u4")) for name, value in theirs.items())
        name = read_json(back / "config.json")["architectures"][0]
        theirs = getattr(transformers, name).from_pretrained(back, attn_implementation="eager").eval()
        with torch.no_grad():
            for before, after in zip(run_there(model, inputs), run_there(theirs, inputs), strict=True):
                assert torch.equal(before, after)
    largest = max(float(np.abs(value).max()) for value in gradients.values())
    told = f"{max(forward):.1e} forward, {max(backward.values()):.1e} backward"
    print(f"\n{known.name}: {told}, of gradients up to {largest:.1e}")
