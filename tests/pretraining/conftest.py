"""Shards and models that train in a moment."""

import keras
import pytest
from tiny_corpus import write_shards

from tfkor.models import Bert, BertConfig, Electra, ElectraConfig
from tfkor.pretraining import MaskedLanguageModel, ReplacedTokenDetection

SIZES = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """A ShardFolder of 3 shards, 40 documents each."""
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def make_model(shards):
    """make_model("mlm" | "nsp" | "sop" | "rtd", **changes of the config) -> an objective."""

    def make(kind="mlm", **changes):
        keras.utils.set_random_seed(2)
        sizes = dict(vocab_size=shards.tokenizer.vocab_size, max_position_embeddings=64, **{**SIZES, **changes})
        if kind != "rtd":
            return MaskedLanguageModel(Bert(BertConfig(**sizes)), None if kind == "mlm" else kind)
        config = ElectraConfig(embedding_size=12, **sizes)
        discriminator = Electra(config)
        generator = Electra(config.generator(0.5), embeddings=discriminator.embeddings)
        return ReplacedTokenDetection(generator, discriminator)

    return make
