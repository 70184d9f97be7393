"""What all architectures have in common. What only Bert's tests check is code that they share."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from keras import ops

import tfkor
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.models import registry

ARCHITECTURES = tuple(encoder for _, encoder, _ in registry.ARCHITECTURES.values())
SIZES = dict(vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32"))


def largest_difference(a, b):
    return max(np.abs(numpy(x) - numpy(y)).max() for x, y in zip(a, b, strict=True))


def new_config(architecture, **changes):
    """A small config for rows of up to 16 tokens."""
    config_class = getattr(tfkor, f"{architecture}Config")
    options = dict(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)  # Albert has none by itself
    options["max_position_embeddings"] = 16 + config_class.position_offset
    fields = {field.name for field in dataclasses.fields(config_class)}
    narrow = dict(embedding_size=24, position_buckets=6)  # where there is such a thing
    options |= {name: value for name, value in narrow.items() if name in fields}
    return config_class(**{**SIZES, **options, **changes})


def new_encoder(architecture, changes=None, **options):
    keras.utils.set_random_seed(3)
    return getattr(tfkor, architecture)(new_config(architecture, **(changes or {})), **options)


@pytest.fixture(params=ARCHITECTURES)
def encoder(request):
    return new_encoder(request.param)


# === Inputs and outputs ===


def test_lists_dicts_and_pooled_agree(encoder, three_arrays):
    pooled, sequence = encoder(three_arrays)
    assert (pooled.shape, sequence.shape) == ((3, 32), (3, 8, 32))
    output = encoder(dict(zip(INPUT_NAMES, three_arrays)))
    assert set(output) == {"pooled_output", "sequence_output"}
    assert largest_difference([pooled, sequence], [output["pooled_output"], output["sequence_output"]]) == 0
    assert largest_difference([pooled], [encoder.pooled(three_arrays)]) <= 1e-6


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_hidden_state_and_attention_has_a_name(architecture, three_arrays):
    encoder = new_encoder(architecture, output_hidden_states=True, output_attentions=True)
    named = encoder(three_arrays, outputs=["hidden_states", "attentions"])
    assert list(named) == ["hidden_states", "attentions"]
    hidden_states, attentions = named.values()
    output = encoder(dict(zip(INPUT_NAMES, three_arrays)))
    assert [state.shape for state in hidden_states] == [(3, 8, 32)] * 3
    assert [attention.shape for attention in attentions] == [(3, 4, 8, 8)] * 2
    assert largest_difference(hidden_states, output["hidden_states"]) == 0
    assert largest_difference(attentions, output["attentions"]) == 0
    assert largest_difference(hidden_states[-1:], [output["sequence_output"]]) == 0


def test_outputs_are_computed_by_name_and_other_keys_of_a_batch_are_ignored(encoder, three_arrays):
    batch = {**dict(zip(INPUT_NAMES, three_arrays)), "labels": np.zeros(3, "int32"), "sample_weight": np.ones(3)}
    assert set(encoder(batch)) == {"pooled_output", "sequence_output"}
    assert list(encoder(batch, outputs=("sequence_output",))) == ["sequence_output"]
    assert largest_difference(encoder(batch, outputs=("pooled_output",)).values(), [encoder.pooled(batch)]) == 0
    with pytest.raises(ValueError, match="outputs has 'logits'; expected some of pooled_output, sequence_output"):
        encoder(batch, outputs=["logits"])


def test_symbolic_outputs_have_the_shapes_of_real_ones(encoder):
    encoder.output_hidden_states = encoder.output_attentions = True
    output = encoder({name: keras.Input((8,), dtype="int32") for name in INPUT_NAMES})
    assert output["pooled_output"].shape == (None, 32)
    assert [state.shape for state in output["hidden_states"]] == [(None, 8, 32)] * 3
    assert [attention.shape for attention in output["attentions"]] == [(None, 4, 8, 8)] * 2


def test_rows_may_have_as_many_tokens_as_the_config_says(encoder):
    assert encoder.max_length == 16
    assert encoder([np.ones((2, 16), "int32"), np.ones((2, 16), "int32"), np.zeros((2, 16), "int32")])[0].shape[0] == 2
    with pytest.raises(ValueError, match=r"17 tokens a row; the position table holds 16\. Truncate"):
        encoder([np.ones((2, 17), "int32")] * 3)


def test_padding_does_not_count(encoder, three_arrays):
    pooled, sequence = map(numpy, encoder(three_arrays))
    wider = [np.pad(array, ((0, 0), (0, 6))) for array in three_arrays]
    wider[0][:, 8:] = 7  # what stands there doesn't matter either
    wide_pooled, wide_sequence = map(numpy, encoder(wider))
    np.testing.assert_allclose(wide_pooled, pooled, atol=1e-6)
    for row, length in enumerate(three_arrays[1].sum(1)):
        np.testing.assert_allclose(wide_sequence[row, :length], sequence[row, :length], atol=1e-6)


# === Several texts in a row ===


def hidden_states(encoder, word_ids, mask, segment_ids, positions=None):
    batch = dict(zip(INPUT_NAMES, (word_ids, mask, segment_ids)))
    batch |= {} if positions is None else {"positions": positions}
    return encoder(batch, outputs=["hidden_states"])["hidden_states"]


def test_two_texts_in_one_row_equal_each_alone(encoder):
    random = np.random.default_rng(1)
    texts = [random.integers(1, 40, (1, length)).astype("int32") for length in (6, 8)]
    segments = [(np.arange(text.shape[1])[None] > 2).astype("int32") for text in texts]
    alone = [hidden_states(encoder, ids, np.ones_like(ids), s) for ids, s in zip(texts, segments)]
    text_of = np.repeat([1, 2, 0], [6, 8, 2])[None]  # and two tokens of padding
    mask = ((text_of[:, :, None] == text_of[:, None]) & (text_of[:, None] > 0)).astype("int32")
    positions = np.concatenate([np.arange(6), np.arange(8), [0, 0]])[None].astype("int32")
    row, segment_ids = (np.pad(np.concatenate(parts, axis=1), ((0, 0), (0, 2))) for parts in (texts, segments))
    for given in (mask, text_of):  # said for each pair of tokens, or by the number of each token's text
        together = hidden_states(encoder, row, given, segment_ids, positions)
        for state, first, second in zip(together, *alone):
            np.testing.assert_allclose(numpy(state)[:, :6], first, atol=1e-5)
            np.testing.assert_allclose(numpy(state)[:, 6:14], second, atol=1e-5)
    without_positions = hidden_states(encoder, row, mask, segment_ids)
    if encoder.embeddings.position_embeddings is None:  # distances within a text are the same in any row
        return
    assert np.abs(numpy(without_positions[-1])[:, 6:14] - numpy(alone[1][-1])).max() > 1e-3


def test_positions_beyond_the_table_are_named(encoder, three_arrays):
    positions = np.tile(np.arange(8, dtype="int32"), (3, 1))
    given = hidden_states(encoder, *three_arrays, positions=positions)
    tokens = three_arrays[1].astype(bool)
    assert largest_difference([numpy(given[-1])[tokens]], [numpy(encoder(three_arrays)[1])[tokens]]) <= 1e-6
    positions[1, 2] = 16
    with pytest.raises(ValueError, match="positions holds the id 16 in row 1 at position 2; expected 0 to 15"):
        hidden_states(encoder, *three_arrays, positions=positions)


# === Precision, dropout, saving ===


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("precision", "near"), [("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)])
def test_half_precision_is_near_float32(architecture, precision, near, three_arrays):
    encoder, half = new_encoder(architecture), new_encoder(architecture, dtype=precision)
    half.set_weights(encoder.get_weights())
    outputs = half(three_arrays)
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs} == {precision.removeprefix("mixed_")}
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert 0 < largest_difference(outputs, encoder(three_arrays)) < near


def test_dropout_is_active_in_training_only(encoder, three_arrays):
    assert largest_difference(encoder(three_arrays), encoder(three_arrays, training=False)) == 0
    assert largest_difference(encoder(three_arrays, training=True), encoder(three_arrays)) > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_files_give_the_same_encoder(architecture, three_arrays, tmp_path):
    encoder = new_encoder(architecture, output_attentions=True, dtype="mixed_bfloat16", name="mine")
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert (loaded.config, loaded.name, loaded.output_attentions) == (encoder.config, "mine", True)
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    assert largest_difference(loaded(three_arrays), encoder(three_arrays)) == 0
    encoder.save_weights(tmp_path / "encoder.weights.h5")
    changed = getattr(tfkor, architecture)(dataclasses.replace(encoder.config, num_hidden_layers=3))
    message = f"a {architecture.upper()} of other sizes: num_hidden_layers 2, here 3. Build it"
    with pytest.raises(ValueError, match=re.escape(message)):
        changed.load_weights(tmp_path / "encoder.weights.h5")


def test_weights_of_another_architecture_are_an_error(tmp_path):
    new_encoder("Albert").save_weights(tmp_path / "encoder.weights.h5")
    with pytest.raises(ValueError, match="another architecture, with 9 sizes; expected those of BERT"):
        new_encoder("Bert").load_weights(tmp_path / "encoder.weights.h5")


def test_an_encoder_trains_and_saves_in_another_model(encoder, three_arrays, tmp_path):
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in INPUT_NAMES]
    x = keras.layers.Dropout(0.2)(encoder(inputs)[0])
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    before = model.get_weights()
    losses = [model.train_on_batch(three_arrays, np.array([0, 1, 2])) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    assert (
        largest_difference([keras.saving.load_model(tmp_path / "model.keras")(three_arrays)], [model(three_arrays)])
        == 0
    )


# === What is special ===


def test_the_layers_of_an_albert_share_their_weights(three_arrays):
    one = new_encoder("Albert", NO_DROPOUT)
    deep = new_encoder("Albert", {**NO_DROPOUT, "num_hidden_layers": 6})
    assert deep.count_params() == one.count_params()
    assert len(hidden_states(deep, *three_arrays)) == 7
    grouped = new_encoder("Albert", {**NO_DROPOUT, "num_hidden_layers": 6, "num_hidden_groups": 3})
    assert [grouped.groups.index(block) for block in grouped.blocks] == [0, 0, 1, 1, 2, 2]


def test_a_roberta_ignores_segments_and_takes_padding_in_front(three_arrays):
    encoder = new_encoder("Roberta")
    word_ids, mask, segment_ids = three_arrays
    outputs = encoder([word_ids, mask, segment_ids])
    assert largest_difference(outputs, encoder([word_ids, mask, segment_ids + 5])) == 0
    in_front = [np.roll(array, 3, axis=1) for array in (word_ids[1:2], mask[1:2], segment_ids[1:2])]
    np.testing.assert_allclose(numpy(encoder(in_front)[1])[0, 3:], numpy(outputs[1])[1, :5], atol=1e-6)


@pytest.mark.parametrize("architecture", ["Electra", "Deberta"])
def test_an_encoder_without_a_pooler_gives_the_first_token(architecture, three_arrays):
    pooled, sequence = new_encoder(architecture)(three_arrays)
    assert largest_difference([pooled], [sequence[:, 0]]) == 0


OTHER_DEBERTA = dict(  # another form of each part
    type_vocab_size=2,
    position_buckets=-1,
    share_att_key=False,
    norm_rel_ebd="none",
    position_biased_input=True,
)


@pytest.mark.parametrize("changes", [{}, OTHER_DEBERTA, dict(relative_attention=False), dict(pos_att_type="p2c")])
def test_a_deberta_computes_one_position_or_all(changes, three_arrays):
    encoder = new_encoder("Deberta", {**changes, "initializer_range": 0.3})
    packed = dict(zip(INPUT_NAMES, three_arrays))
    packed["input_mask"] = np.array([[1, 1, 1, 2, 2, 2, 0, 0]] * 3, "int32")
    packed["positions"] = np.array([[0, 1, 2, 0, 1, 2, 0, 0]] * 3, "int32")
    for batch in (dict(zip(INPUT_NAMES, three_arrays)), packed):
        pooled = encoder(batch)["pooled_output"]
        np.testing.assert_allclose(numpy(encoder.pooled(batch)), numpy(pooled), atol=1e-5)
    assert len(encoder.weights) == len({weight.path for weight in encoder.weights})


def test_a_deberta_without_segments_ignores_them(three_arrays):
    encoder = new_encoder("Deberta")
    word_ids, mask, segment_ids = three_arrays
    assert largest_difference(encoder(three_arrays), encoder([word_ids, mask, segment_ids + 5])) == 0
    assert encoder.embeddings.position_embeddings is None and encoder.embeddings.token_type_embeddings is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(pos_att_type="c2p|p2p"), "pos_att_type has 'p2p'; expected c2p, p2c or both"),
        (dict(norm_rel_ebd="batch_norm"), "norm_rel_ebd is 'batch_norm'; expected 'layer_norm' or 'none'"),
        (dict(max_relative_positions=4), "max_relative_positions is 4; expected -1, or at least 5 for these buckets"),
        (dict(type_vocab_size=-1), "type_vocab_size is -1; expected a whole number of at least 0"),
        (dict(position_buckets=-2), "position_buckets is -2; expected a whole number of at least -1"),
    ],
)
def test_what_no_deberta_has_is_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        new_config("Deberta", **changes)


def test_generator_and_discriminator_share_tables_and_norm(three_arrays, tmp_path):
    config = new_config("Electra", num_attention_heads=8)
    discriminator = tfkor.Electra(config)
    generator = tfkor.Electra(config.generator(), embeddings=discriminator.embeddings)
    assert generator.word_embeddings is discriminator.word_embeddings
    assert generator.embeddings_project is not discriminator.embeddings_project
    shared = {id(weight) for weight in generator.weights} & {id(weight) for weight in discriminator.weights}
    assert shared == {id(weight) for weight in discriminator.embeddings.weights} and len(shared) == 5
    assert generator(three_arrays)[1].shape == (3, 8, 8)
    generator.save(tmp_path / "generator.keras")  # alone, it has the tables for itself
    alone = keras.saving.load_model(tmp_path / "generator.keras")
    assert largest_difference(alone(three_arrays), generator(three_arrays)) == 0
    with pytest.raises(ValueError, match="other sizes than the config: vocab_size 40, expected 41"):
        tfkor.Electra(dataclasses.replace(config, vocab_size=41), embeddings=discriminator.embeddings)
