"""Each family learns from a megabyte of real text what word frequencies can't say."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tfkor.data import ShardFolder, ShardRecipe
from tfkor.data.make_shards import make_shards
from tfkor.models import Albert, AlbertConfig, Bert, BertConfig, Electra, ElectraConfig, Roberta, RobertaConfig
from tfkor.pretraining import (
    MaskedLanguageModel,
    Masking,
    Phase,
    Pretraining,
    PretrainingBatches,
    Recipe,
    ReplacedTokenDetection,
)
from tfkor.text import Lines, Tokenizer, train_wordpiece
from tfkor.training import AdamW

LENGTH, BATCH, STEPS = 32, 64, 400
SIZES = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256)
OPTIONS = dict(max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def real_shards(shared_data, tmp_path_factory):
    """Documentation of React in Korean, 1.66 MB."""
    text, folder = shared_data / "corpus/react_docs_ko.txt.gz", tmp_path_factory.mktemp("real")
    tokenizer = Tokenizer.from_vocab(train_wordpiece(Lines(text), vocab_size=2000))
    tokenizer.save(folder / "tokenizer")
    make_shards([str(text)], folder / "tokenizer", folder / "shards", ShardRecipe(), workers=1)
    return ShardFolder(folder / "shards")


def build(family, vocab_size):
    if family == "electra":
        discriminator = Electra(ElectraConfig(vocab_size, embedding_size=128, **SIZES, **OPTIONS))
        generator = Electra(discriminator.config.generator(0.25), embeddings=discriminator.embeddings)
        return ReplacedTokenDetection(generator, discriminator, discriminator_weight=50.0), None
    if family == "bert":
        return MaskedLanguageModel(Bert(BertConfig(vocab_size, **SIZES, **OPTIONS)), "nsp"), "nsp"
    if family == "albert":
        albert = Albert(AlbertConfig(vocab_size, embedding_size=128, **SIZES, **OPTIONS))
        return MaskedLanguageModel(albert, "sop"), "sop"
    return MaskedLanguageModel(Roberta(RobertaConfig(vocab_size, **SIZES, **OPTIONS))), None


def unigram_entropy(shards):
    """Nats a token of the text itself, the loss of who knows word frequencies alone."""
    counts = sum(
        np.bincount(shards.read(i).tokens, minlength=shards.tokenizer.vocab_size).astype(float)
        for i in range(len(shards))
    )
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def area_under_curve(model, batches):
    """How often the discriminator holds a replaced token for likelier to be replaced than an original one."""
    logits, replaced, real = [], [], []
    for _, batch in zip(range(4), batches):
        _, scores, labels = model(batch)
        logits.append(keras.ops.convert_to_numpy(scores))
        replaced.append(keras.ops.convert_to_numpy(labels))
        real.append(batch["token_weights"] > 0)
    real = np.concatenate(real)
    return roc_auc_score(np.concatenate(replaced)[real], np.concatenate(logits)[real])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "albert", "roberta", "electra"])
def test_a_few_hundred_steps_beat_word_frequencies_on_text_that_was_held_out(real_shards, tmp_path, family):
    assert sum(entry["bytes"] for entry in real_shards.manifest["shards"]) > 500_000  # 2 bytes a token
    keras.utils.set_random_seed(0)
    model, pairs = build(family, real_shards.tokenizer.vocab_size)
    masking = Masking("span", 0.25, mask_share=0.85, random_share=0.0) if family == "electra" else Masking()
    recipe = Recipe(LENGTH, pairs=pairs, masking=masking, objective="rtd" if family == "electra" else "mlm")
    train, held_out = (
        PretrainingBatches(real_shards, recipe, BATCH, held_out=0.1, part=part) for part in ("train", "held_out")
    )
    metrics = Pretraining(
        tmp_path, model, AdamW(1e-3), [Phase(train, held_out=held_out)],
        learning_rate={"albert": 3e-3, "electra": 1e-3}.get(family, 2e-3), steps=STEPS, log_every=100, save_every=0,
    ).train()  # fmt: skip
    entropy = unigram_entropy(real_shards)
    print(f"{family}: unigram entropy {entropy:.3f}, {metrics}")
    assert metrics["held_out_mlm_loss"] < entropy - 0.2
    if family == "electra":
        rate = metrics["held_out_replaced_rate"]
        always_original = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))  # saying it with the right probability
        assert metrics["held_out_rtd_loss"] < 0.97 * always_original
        area = area_under_curve(model, held_out)
        print(f"area under the curve {area:.3f}, loss {metrics['held_out_rtd_loss'] / always_original:.3f} times that")
        assert area > 0.63  # 0.5 for who says the same everywhere
