"""AdamW and the schedule against their formulas, written out in NumPy."""

from itertools import pairwise

import keras
import numpy as np
import pytest

from tfkor.training import AdamW, Lamb, WarmupDecay, build_optimizer


def adamw(weights, gradients, learning_rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Loshchilov and Hutter 2019, algorithm 2, without a schedule."""
    m = v = np.zeros_like(weights)
    for step, gradient in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        weights = weights - learning_rate * decay * weights
        m_hat, v_hat = m / (1 - beta_1**step), v / (1 - beta_2**step)
        weights = weights - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return weights


def embed_and_step(optimizer, table, ids, steps):
    """Trains an embedding with loss = sum of the looked-up rows times a constant; returns the table."""
    import tensorflow as tf

    layer = keras.layers.Embedding(*table.shape, weights=[table])
    layer.build()
    scale = tf.constant(np.linspace(-1, 1, table.shape[1]), tf.float32)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.constant(ids)) * scale)
        optimizer.apply(tape.gradient(loss, [layer.embeddings.value]), [layer.embeddings])
    return layer.embeddings.numpy()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's sparse gradients")
def test_an_id_that_repeats_in_a_batch_gets_the_right_second_moment():
    table = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    ids = [1, 1, 1, 3]
    gradient = np.zeros_like(table)
    np.add.at(gradient, ids, np.linspace(-1, 1, 4, dtype=np.float32))
    expected = adamw(table, [gradient] * 3, 0.1, decay=0.01)
    ours = embed_and_step(AdamW(0.1, weight_decay=0.01), table, ids, 3)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    keras_own = embed_and_step(keras.optimizers.AdamW(0.1, weight_decay=0.01), table, ids, 3)
    # if this fails, Keras has mended it, and AdamW needs no class of ours
    assert np.abs(keras_own - expected).max() > 1e-3


def test_biases_and_norms_do_not_decay():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.LayerNormalization()])
    for variable in model.variables:
        variable.assign(np.ones(variable.shape))
    optimizer = build_optimizer(0.1, total_steps=10, warmup=0.0, weight_decay=0.5)
    optimizer.apply([np.zeros(v.shape, np.float32) for v in model.trainable_variables], model.trainable_variables)
    moved = {v.name: not np.allclose(v.numpy(), 1.0) for v in model.trainable_variables}
    assert moved == {"kernel": True, "bias": False, "gamma": False, "beta": False}


def test_the_learning_rate_rises_then_falls_to_zero():
    schedule = WarmupDecay(1.0, warmup_steps=4, total_steps=10)
    rates = [float(schedule(step)) for step in range(12)]
    np.testing.assert_allclose(rates[:5], [0.25, 0.5, 0.75, 1.0, 6 / 7], atol=1e-6)
    assert all(a > b for a, b in pairwise(rates[3:10]))
    assert rates[9] > 0 and rates[10] == rates[11] == 0
    assert float(WarmupDecay(1.0, 0, 10)(0)) == pytest.approx(10 / 11)
    with pytest.raises(ValueError, match="warmup_steps is 11"):
        WarmupDecay(1.0, 11, 10)


def test_gradients_are_clipped_by_their_global_norm():
    optimizer = build_optimizer(1.0, 10, warmup=0.0, clip_norm=1.0)
    clipped = optimizer._clip_gradients([np.full(2, 30.0, np.float32), np.full(3, 40.0, np.float32)])
    assert np.sqrt(sum(float(keras.ops.sum(g * g)) for g in clipped)) == pytest.approx(1.0, abs=1e-5)


def test_the_schedule_comes_back_from_its_config():
    schedule = WarmupDecay(3e-4, 10, 100)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()


def lamb(weights, gradients, learning_rate, decay, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    """You et al. 2020, algorithm 2, with phi the identity."""
    m = v = np.zeros_like(weights)
    for step, gradient in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        update = m / (1 - beta_1**step) / (np.sqrt(v / (1 - beta_2**step)) + epsilon) + decay * weights
        weights = weights - learning_rate * np.linalg.norm(weights) / np.linalg.norm(update) * update
    return weights


def test_lamb_is_the_papers_and_leaves_biases_alone():
    random = np.random.default_rng(0)
    kernel = keras.Variable(random.normal(size=(5, 4)), name="kernel", dtype="float32")
    bias = keras.Variable(np.ones(4), name="bias", dtype="float32")
    start = keras.ops.convert_to_numpy(kernel)
    gradients = [random.normal(size=(5, 4)).astype(np.float32) for _ in range(4)]
    optimizer = Lamb(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in (gradient, gradient[0])], [kernel, bias])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kernel), lamb(start, gradients, 0.1, 0.5), atol=1e-5)
    # Adam's own step where nothing decays: neither decay nor ratio
    plain = keras.Variable(np.ones(4), dtype="float32")
    adam = keras.optimizers.Adam(0.1, epsilon=1e-6)
    for gradient in gradients:
        adam.apply([keras.ops.convert_to_tensor(gradient[0])], [plain])
    found, expected = (keras.ops.convert_to_numpy(v) for v in (bias, plain))
    np.testing.assert_allclose(found, expected, atol=1e-4)  # Keras adds epsilon before it corrects the moments
    assert Lamb.from_config(optimizer.get_config()).decay == 0.5


def test_the_schedule_decays_as_a_power():
    line, square = WarmupDecay(1.0, 10, 110), WarmupDecay(1.0, 10, 110, power=2.0)
    for step in (0, 5, 9):
        assert float(line(step)) == float(square(step))
    for step in (10, 50, 109):
        np.testing.assert_allclose(float(square(step)), float(line(step)) ** 2, rtol=1e-4)
    with pytest.raises(ValueError, match="power is 0"):
        WarmupDecay(1.0, 0, 10, power=0)


def test_layers_have_their_own_rates_from_their_own_step():
    start, gradient = np.linspace(1, 2, 4, dtype="float32"), np.array([1, -2, 3, -4], "float32")
    variables = [keras.Variable(start, name=name) for name in ("top", "middle", "late")]
    optimizer = AdamW(0.1, weight_decay=0.5)
    optimizer.layer_rates = {variables[1].path: (0.5, 0), variables[2].path: (1.0, 2)}
    seen = []
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 3, variables)
        seen.append([keras.ops.convert_to_numpy(v) for v in variables])
    np.testing.assert_allclose(seen[2][0], adamw(start, [gradient] * 3, 0.1, decay=0.5), atol=1e-5)
    np.testing.assert_allclose(seen[2][1], adamw(start, [gradient] * 3, 0.05, decay=0.5), atol=1e-5)
    np.testing.assert_array_equal(seen[1][2], start)
    assert (seen[2][2] != start).all()


def test_lower_layers_learn_more_slowly_and_later():
    from tfkor import Albert, AlbertConfig, Deberta, DebertaConfig, Electra, ElectraConfig
    from tfkor.training import layer_rates

    sizes = dict(hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, embedding_size=4)
    encoder = Electra(ElectraConfig(20, **sizes))
    rates = layer_rates(encoder, decay=0.5, unfreeze_steps=10)
    for layer, expected in (
        (encoder.embeddings, (0.0625, 40)),
        (encoder.embeddings_project, (0.0625, 40)),
        (encoder.blocks[0], (0.125, 30)),
        (encoder.blocks[2], (0.5, 10)),
    ):
        assert {rates[variable.path] for variable in layer.variables} == {expected}
    albert = Albert(AlbertConfig(20, **sizes))
    rates = layer_rates(albert, decay=0.5)
    assert {rates[variable.path] for variable in albert.groups[0].variables} == {(0.5, 0)}
    assert not any(variable.path in rates for variable in albert.pooler.variables)
    del sizes["embedding_size"]
    deberta = Deberta(DebertaConfig(20, **sizes))
    rates = layer_rates(deberta, decay=0.5)
    assert rates[deberta.relative_embeddings.embeddings.path] == rates[deberta.word_embeddings.path] == (0.0625, 0)
    assert rates[deberta.relative_norm.gamma.path] == (0.0625, 0)
