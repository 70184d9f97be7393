"""The named sizes have the parameters of the published models. Nothing is allocated: weights are counted as they are
asked for."""

import dataclasses
import math
from types import SimpleNamespace

import keras
import pytest

import tfkor
from tfkor.layers import DiscriminatorHead, MaskedLmHead, PairHead
from tfkor.models import registry

ARCHITECTURES = [encoder for _, encoder, _ in registry.ARCHITECTURES.values()]


@pytest.fixture
def count(monkeypatch):
    """count(make) -> how many parameters `make` would create."""

    def counted(make):
        shapes = []

        def add_weight(layer, shape=None, **options):
            shapes.append(shape)
            return SimpleNamespace(shape=tuple(shape))

        with monkeypatch.context() as patch:
            patch.setattr(keras.layers.Layer, "add_weight", add_weight)
            make()
        return sum(math.prod(shape) for shape in shapes)

    return counted


def encoder(architecture, size, vocab_size):
    config = getattr(tfkor, f"{architecture}Config").of(size, vocab_size=vocab_size)
    return getattr(tfkor, architecture)(config)


@pytest.mark.parametrize(
    ("architecture", "size", "vocab_size", "parameters", "millions"),
    [
        ("Bert", "tiny", 30_522, 4_385_920, 4.4),  # google-research/bert, of Turc et al. 2019
        ("Bert", "mini", 30_522, 11_170_560, 11.3),
        ("Bert", "small", 30_522, 28_763_648, 29.1),
        ("Bert", "medium", 30_522, 41_373_184, 41.7),
        ("Bert", "base", 30_522, 109_482_240, 110),  # Devlin et al. 2019, section 3
        ("Bert", "large", 30_522, 335_141_888, 340),
        ("Albert", "base", 30_000, 11_683_584, 12),  # Lan et al. 2020, table 1
        ("Albert", "large", 30_000, 17_683_968, 18),
        ("Albert", "xlarge", 30_000, 58_724_864, 60),
        ("Albert", "xxlarge", 30_000, 222_595_584, 235),  # more than its published weights are
        ("Roberta", "base", 50_265, 124_645_632, 125),  # fairseq, examples/roberta
        ("Roberta", "large", 50_265, 355_359_744, 355),
        ("Deberta", "xsmall", 128_100, 70_682_112, 22 + 48),  # microsoft/deberta-v3: blocks, vocabulary
        ("Deberta", "small", 128_100, 141_304_320, 44 + 98),
        ("Deberta", "base", 128_100, 183_831_552, 86 + 98),
        ("Deberta", "large", 128_100, 434_012_160, 304 + 131),
        ("Electra", "small", 30_522, 13_483_008, 14),  # Clark et al. 2020, table 1; google-research/electra
        ("Electra", "base", 30_522, 108_891_648, 110),
        ("Electra", "large", 30_522, 334_092_288, 335),
    ],
)
def test_a_size_has_the_parameters_of_the_published_model(count, architecture, size, vocab_size, parameters, millions):
    """With the vocabulary of the English model; `millions` is what paper or repository say."""
    assert count(lambda: encoder(architecture, size, vocab_size)) == parameters
    assert parameters / 1e6 == pytest.approx(millions, rel=0.06)


def test_counting_counts_what_is_built(count):
    for architecture in ARCHITECTURES:
        tiny = encoder(architecture, "tiny", 200)
        assert count(lambda architecture=architecture: encoder(architecture, "tiny", 200)) == tiny.count_params()
        for head in (MaskedLmHead, PairHead, DiscriminatorHead):
            assert count(lambda head=head, tiny=tiny: head.of(tiny)) == head.of(tiny).count_params()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_size_can_be_built(count, architecture):
    sizes = getattr(tfkor, f"{architecture}Config").sizes
    counts = [count(lambda size=size: encoder(architecture, size, 32_000)) for size in sizes]
    assert counts == sorted(counts) and list(sizes)[-1] == ("xxlarge" if architecture == "Albert" else "large")


@pytest.mark.parametrize(
    ("size", "share", "expected"),
    [
        ("small", None, (64, 1, 256, 12)),  # Clark et al. 2020, table 6
        ("base", None, (256, 4, 1024, 12)),
        ("large", None, (256, 4, 1024, 24)),
        ("small", 1, (256, 4, 1024, 12)),
        ("tiny", None, (32, 1, 128, 2)),
    ],
)
def test_generators_are_as_deep_and_narrower(size, share, expected):
    config = tfkor.ElectraConfig.of(size, vocab_size=100, hidden_dropout_prob=0.0)
    generator = config.generator(share)
    fields = ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")
    assert tuple(getattr(generator, name) for name in fields) == expected
    others = {name: value for name, value in dataclasses.asdict(config).items() if name not in fields}
    assert others == {name: value for name, value in dataclasses.asdict(generator).items() if name not in fields}


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("Albert", dict(hidden_act="gelu_new", layer_norm_eps=1e-12, hidden_dropout_prob=0.0, embedding_size=128)),
        ("Roberta", dict(hidden_act="gelu", layer_norm_eps=1e-5, type_vocab_size=1, max_position_embeddings=514)),
        ("Electra", dict(hidden_act="gelu", layer_norm_eps=1e-12, embedding_size=768)),
        ("Deberta", dict(hidden_act="gelu", layer_norm_eps=1e-7, type_vocab_size=0, position_buckets=256)),
    ],
)
def test_configs_say_what_the_published_ones_say(architecture, fields):
    config_class = getattr(tfkor, f"{architecture}Config")
    config = config_class()
    assert config == config_class.of("base") and config_class(**config.to_dict()) == config
    assert {name: getattr(config, name) for name in fields} == fields
    with pytest.raises(ValueError, match=f"no {architecture.upper()} size 'huge'; expected one of"):
        config_class.of("huge")
    with pytest.raises(TypeError, match="hidden_sizes"):
        config_class.of("tiny", hidden_sizes=3)
