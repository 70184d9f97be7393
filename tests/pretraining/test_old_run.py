"""A run that tfkor of September 2026 began and SIGTERM stopped is resumed.

old_run/ is what it left after 10 of 20 steps; after.jsonl is the log of the others, when that version went on itself.
"""

import json
import shutil
from pathlib import Path

import keras
import numpy as np

from tfkor.models import Electra, ElectraConfig
from tfkor.pretraining import Masking, Phase, Pretraining, PretrainingBatches, Recipe, ReplacedTokenDetection
from tfkor.training import AdamW

OLD_RUN = Path(__file__).with_name("old_run")
SIZES = dict(embedding_size=6, max_position_embeddings=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)


def test_a_run_of_an_older_version_goes_on_as_with_that_version(tmp_path, shards):
    folder = shutil.copytree(OLD_RUN, tmp_path / "run")
    keras.utils.set_random_seed(5)  # another one: the states of its random numbers are in the checkpoint
    discriminator = Electra(ElectraConfig(shards.tokenizer.vocab_size, intermediate_size=16, **SIZES))
    generator = Electra(discriminator.config.generator(0.5), embeddings=discriminator.embeddings)
    model = ReplacedTokenDetection(generator, discriminator)

    def phase(length, share):
        recipe = Recipe(length=length, masking=Masking("span", 0.2, 0.85, 0.0), objective="rtd")
        train, held_out = (
            PretrainingBatches(shards, recipe, 8, held_out=0.1, part=part, group=2) for part in ("train", "held_out")
        )
        return Phase(train, share, held_out)

    run = Pretraining(
        folder, model, AdamW(1e-3), [phase(24, 0.75), phase(40, 0.25)], learning_rate=3e-3, steps=20, log_every=5,
        eval_every=10, eval_batches=2, gradient_accumulation_steps=2, save_every=0,
        settings={"seed": 0, "masking": ["span"], "mask_rate": 0.2},
    )  # fmt: skip
    run.train()
    lines, expected = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (folder / "log.jsonl", OLD_RUN / "after.jsonl")
    )
    assert [line["step"] for line in lines] == [5, 10, 10, 15, 20, 20]
    for line, other in zip(lines[3:], expected, strict=True):
        assert list(line) == list(other)
        for name in other:
            if "second" not in name:
                np.testing.assert_allclose(line[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name)
