"""Models of tasks, an encoder and a head: Keras saves and loads them, what else is in a batch is ignored."""

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig, Electra, ElectraConfig
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.layers.pooling import Mean
from tfkor.models.weights import named_weights
from tfkor.tasks.answerer import SpanModel
from tfkor.tasks.heads import ClassificationModel
from tfkor.tasks.parser import BiaffineModel
from tfkor.tasks.tagger import TaggingModel
from tfkor.tasks.tracker import SlotGenerator

SIZES = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
SMALL = dict(arc_size=8, relation_size=4)
MODELS = {
    "classification": (ClassificationModel, dict(num_classes=3, dropout=0.3), Bert),
    "classification, mean": (ClassificationModel, dict(num_classes=1, pooling=Mean()), Bert),
    "classification, ELECTRA": (ClassificationModel, dict(num_classes=2), Electra),
    "tagging": (TaggingModel, dict(num_labels=3, dropout=0.2), Bert),
    "span": (SpanModel, {}, Electra),
    "biaffine": (BiaffineModel, dict(num_relations=2, dropout=0.1, **SMALL), Bert),
    "biaffine with tags": (BiaffineModel, dict(num_relations=2, num_tags=3, **SMALL), Bert),
    "slots": (SlotGenerator, dict(slot_ids=[[5, 6], [7, 0]], dropout=0.2), Bert),
    "slots, ELECTRA": (SlotGenerator, dict(slot_ids=[[5, 6]]), Electra),
}


def make(name, dtype="float32"):
    kind, options, encoder_class = MODELS[name]
    keras.utils.set_random_seed(0)
    if encoder_class is Electra:
        encoder = Electra(ElectraConfig(20, embedding_size=8, max_position_embeddings=16, **SIZES), dtype=dtype)
    else:
        encoder = Bert(BertConfig(20, max_position_embeddings=16, **SIZES), dtype=dtype)
    model = kind(encoder, **options)
    random = np.random.default_rng(0)  # larger than at initialisation, so that no weight goes unseen
    for variable in model.trainable_variables:
        variable.assign(random.normal(scale=0.3, size=variable.shape))
    return model


def batch_of(model):
    ids = np.array([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]], "int32")
    batch = dict(zip(INPUT_NAMES, (ids, (ids > 0).astype("int32"), np.zeros_like(ids))))
    if isinstance(model, BiaffineModel):
        batch |= {"is_word": batch["input_mask"], "ends": np.ones_like(ids), "tags": np.minimum(ids, 3)}
    return batch


def outputs(model, **options):
    return [ops.convert_to_numpy(x) for x in keras.tree.flatten(model(batch_of(model), **options))]


@pytest.mark.parametrize("name", MODELS)
def test_keras_saves_and_loads_it(name, tmp_path):
    model = make(name)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    config = {key: value for key, value in model.get_config().items() if key != "encoder"}
    assert {key: value for key, value in again.get_config().items() if key != "encoder"} == config
    assert again.encoder.config == model.encoder.config
    for ours, theirs in zip(outputs(again), outputs(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fresh = type(model).from_config(model.get_config())
    assert [v.shape for v in fresh.variables] == [v.shape for v in model.variables]


def test_a_saved_model_computes_as_it_did_in_bfloat16(tmp_path):
    model = make("tagging", dtype="mixed_bfloat16")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.encoder.compute_dtype == "bfloat16" and again.compute_dtype == "float32"
    np.testing.assert_array_equal(outputs(again)[0], outputs(model)[0])


@pytest.mark.parametrize("name", MODELS)
def test_what_else_is_in_a_batch_is_ignored(name):
    model = make(name)
    batch = batch_of(model) | {"labels": np.zeros(2, "int32"), "sample_weight": np.ones(2, "float32")}
    for ours, theirs in zip(keras.tree.flatten(model(batch)), outputs(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", MODELS)
def test_weights_have_the_same_names_in_each_model(name):
    first, again = (named_weights(make(name)) for _ in range(2))
    heads = [[key for key in each if not key.startswith(("bert", "electra"))] for each in (first, again)]
    assert heads[0] == heads[1] and heads[0]
