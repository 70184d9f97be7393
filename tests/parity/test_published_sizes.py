"""Parameter counts equal those of Hugging Face's models of the published configs, made on PyTorch's meta device."""

import dataclasses
import math
from types import SimpleNamespace

import keras
import pytest
from parity import huggingface_class
from pretraining_parity import MODELS

from tfkor.interop.configs import config_from_huggingface
from tfkor.models.registry import get_architecture

ELECTRA_SMALL = dict(embedding_size=128, hidden_size=256, num_attention_heads=4, intermediate_size=1024)
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
XSMALL = dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536)
LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
ROBERTA = dict(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
V3 = dict(
    relative_attention=True, position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True,
    pos_att_type="p2c|c2p", position_biased_input=False,
)  # fmt: skip
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
    ("DebertaV2ForMaskedLM", "xsmall", dict(XSMALL, **V3)),
    ("DebertaV2ForMaskedLM", "small", dict(BASE, **V3, num_hidden_layers=6)),
    ("DebertaV2ForMaskedLM", "base", dict(BASE, **V3)),
    ("DebertaV2ForMaskedLM", "large", dict(LARGE, **V3)),
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
    encoder_class, config_class = get_architecture(architecture)
    reference_config = huggingface_class(architecture, "Config")(**published)
    with torch.device("meta"):
        reference = getattr(transformers, name)(reference_config)
    expected = sum(parameter.numel() for parameter in reference.parameters())

    config = config_class.of(size, vocab_size=reference_config.vocab_size)
    config = config.generator() if name == "ElectraForMaskedLM" else config
    dropout = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    said = config_from_huggingface(reference_config.to_dict(), **dropout)
    assert said == (encoder_class, dataclasses.replace(config, **dropout))

    shapes = []
    add_weight = lambda layer, shape, **options: shapes.append(shape) or SimpleNamespace(shape=shape)  # noqa: E731
    monkeypatch.setattr(keras.layers.Layer, "add_weight", add_weight)
    encoder = encoder_class(config)
    for head in heads:
        head.of(encoder)
    found = sum(map(math.prod, shapes))
    if name.endswith("MaskedLM") and isinstance(encoder.pooler, keras.layers.Dense):  # which it has not there
        found -= config.hidden_size * (config.hidden_size + 1)
    assert found == expected
