"""Parameter counts equal those of Hugging Face's models of the published configs, made on PyTorch's meta device."""

import math
from types import SimpleNamespace

import keras
import pytest
from pretraining_parity import MODELS

import tfkor

ELECTRA_SMALL = dict(embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024)
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
ROBERTA = dict(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
# config.json of the published models, as far as sizes go: defaults of transformers' configs make up the rest
PUBLISHED = [
    ("BertForPreTraining", "base", BASE),
    ("BertForPreTraining", "large", LARGE),
    ("AlbertForPreTraining", "base", BASE),
    ("AlbertForPreTraining", "large", LARGE),
    ("AlbertForPreTraining", "xlarge", dict(LARGE, hidden_size=2048, intermediate_size=8192)),
    ("AlbertForPreTraining", "xxlarge", {}),
    ("RobertaForMaskedLM", "base", dict(BASE, **ROBERTA)),
    ("RobertaForMaskedLM", "large", dict(LARGE, **ROBERTA)),
    ("ElectraForPreTraining", "small", ELECTRA_SMALL),
    ("ElectraForPreTraining", "base", dict(BASE, embedding_size=768)),
    ("ElectraForPreTraining", "large", dict(LARGE, embedding_size=1024)),
    ("ElectraForMaskedLM", "base", dict(ELECTRA_SMALL, embedding_size=768)),
    ("ElectraForMaskedLM", "large", dict(ELECTRA_SMALL, embedding_size=1024, num_hidden_layers=24)),
]


@pytest.mark.parametrize(("name", "size", "published"), PUBLISHED, ids=[f"{p[0]}-{p[1]}" for p in PUBLISHED])
def test_parameters_are_those_of_the_published_model(transformers, monkeypatch, name, size, published):
    import torch

    architecture, heads = MODELS[name]
    architecture = architecture.capitalize()
    reference_config = getattr(transformers, f"{architecture}Config")(**published)
    with torch.device("meta"):
        reference = getattr(transformers, name)(reference_config)
    expected = sum(parameter.numel() for parameter in reference.parameters())

    config = getattr(tfkor, f"{architecture}Config").of(size, vocab_size=reference_config.vocab_size)
    config = config.generator() if name == "ElectraForMaskedLM" else config
    same = set(config.to_dict()) - {"hidden_dropout_prob", "attention_probs_dropout_prob"}
    assert {k: getattr(config, k) for k in same} == {k: getattr(reference_config, k) for k in same}

    shapes = []
    add_weight = lambda layer, shape, **options: shapes.append(shape) or SimpleNamespace(shape=shape)  # noqa: E731
    monkeypatch.setattr(keras.layers.Layer, "add_weight", add_weight)
    encoder = getattr(tfkor, architecture)(config)
    for head in heads:
        head.of(encoder)
    found = sum(map(math.prod, shapes))
    if name.endswith("MaskedLM") and architecture != "Electra":  # which there has no pooler
        found -= config.hidden_size * (config.hidden_size + 1)
    assert found == expected
