"""DialogueTracker: KLUE-baseline's rows, targets, decoder and states, training on made-up dialogues, saving."""

import json
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from tfkor import Bert, BertConfig, Electra, ElectraConfig, Tokenizer
from tfkor.data import DialogueData
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.tasks import DialogueTracker
from tfkor.tasks.tracker import SlotGenerator, mixture

CASES = defaultdict(list)
for case in json.loads((Path(__file__).parents[1] / "golden/dialogues.json").read_text(encoding="utf-8"))["cases"]:
    CASES[case["metric"]].append((case["input"], case["expected"]))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PLACES, TIMES = ("서울", "부산", "대구"), ("11:30", "18:00", "7:30", "9:00")
VOCAB = """
    서울 부산 대구 11 18 7 9 30 00 : . ? - 식당 지역 예약 시간 주차 none dontcare yes no
    ##에 찾아 어디든 좋아 몇 시 예약할게 되는 곳 주차장 없어도 네 필요해
"""
VOCAB = [*SPECIAL, *VOCAB.split()]
to_numpy = ops.convert_to_numpy


def encoder_of(vocab_size, kind=Bert):
    keras.utils.set_random_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    options = dict(max_position_embeddings=64, initializer_range=0.2)
    if kind is Electra:
        return Electra(ElectraConfig(vocab_size, embedding_size=16, **sizes, **options))
    return Bert(BertConfig(vocab_size, **sizes, **options))


def make(vocab=VOCAB, **options):
    options = dict(max_length=48) | options
    return DialogueTracker(encoder_of(len(vocab)), tokenizer=Tokenizer.from_vocab(vocab), **options)


# === As KLUE-baseline does it ===


def test_rows_and_targets_are_those_of_klue():
    ((given, expected),) = CASES["wos_features"]
    tracker = make(given["vocab"], slots=expected["slot_meta"], max_length=given["max_seq_length"])
    turns = [dialogue["dialogue"] for dialogue in given["dialogues"]]
    utterances = [[turn["text"] for turn in each] for each in turns]
    states = [[turn["state"] for turn in each[::2]] for each in turns]
    data = DialogueData(["made-up-0"], utterances, states, [[]])
    assert data.slots == expected["slot_meta"] and data.truth() == expected["labels"]
    for row, ids, mask in zip(tracker.rows(utterances).to_lists(), expected["input_ids"], expected["input_masks"]):
        assert row == ids[: sum(mask)]
    targets = tracker.targets(data.truth())
    assert targets[..., 0].tolist() == expected["gating_ids"]
    tokens = [[[given["vocab"][i] for i in row if i >= 0] for row in slots] for slots in targets[..., 1:]]
    assert tokens == [[[t for t in row if t != "[PAD]"] for row in slots] for slots in expected["target_tokens"]]


def test_states_are_written_as_klue_writes_them():
    ((given, expected),) = CASES["wos_recover_state"]
    tracker = make(given["vocab"], slots=given["slot_meta"])
    found = [tracker.state_of(gates, values) for gates, values in zip(given["gates"], given["generated_ids"])]
    assert found == expected


def klue_generator(given):
    """A SlotGenerator with the weights of the case, and the inputs; what its encoder gives is the case's as well."""
    weights = {name: np.array(value, "float32") for name, value in given["weights"].items()}
    encoder = Bert(BertConfig(8, 3, 1, 1, 4))
    model = SlotGenerator(encoder, [[*ids, 0][:2] for ids in given["slot_ids"]])
    encoder.word_embeddings.assign(weights["embed.weight"])

    def keras_order(name):  # PyTorch's gates are r, z, n, those of Keras z, r, n
        r, z, n = np.split(weights[name], 3)
        return np.concatenate([z, r, n]).T

    model.cell.set_weights(
        [
            keras_order("gru.weight_ih_l0"),
            keras_order("gru.weight_hh_l0"),
            np.stack([keras_order("gru.bias_ih_l0"), keras_order("gru.bias_hh_l0")]),
        ]
    )
    model.share.set_weights([weights["w_gen.weight"].T, weights["w_gen.bias"]])
    model.gate.set_weights([weights["w_gate.weight"].T, weights["w_gate.bias"]])
    read = np.array(given["encoder_output"], "float32"), np.array(given["hidden"], "float32")[0]
    model.read = lambda inputs, training: tuple(map(ops.convert_to_tensor, read))
    ids = np.array(given["input_ids"], "int32")
    return model, dict(zip(INPUT_NAMES, (ids, (ids != given["pad_idx"]).astype("int32"), np.zeros_like(ids))))


def distributions(model, inputs, length, targets=None):
    """p(word) of each step, [B, J, L, V]; the next input is the target, or the likeliest word."""
    found = []

    def choose(step, logits, share, attention):
        found.append(mixture(inputs["input_word_ids"], logits, share, attention))
        return ops.argmax(found[-1], axis=-1) if targets is None else targets[:, :, step]

    model.decode(inputs, length, choose)
    return to_numpy(ops.stack(found, axis=2))


def test_the_decoder_equals_klue_on_the_same_weights():
    ((given, expected),) = CASES["wos_SlotGenerator"]
    model, inputs = klue_generator(given)
    gates, values = model(inputs, length=given["max_len"])
    np.testing.assert_allclose(to_numpy(gates), expected["gate_outputs"], atol=1e-5)
    np.testing.assert_array_equal(to_numpy(values), np.argmax(expected["point_outputs"], axis=-1))
    np.testing.assert_allclose(distributions(model, inputs, 3), expected["point_outputs"], atol=1e-5)
    targets = np.array(given["teacher_for_second_run"], "int32")
    found = distributions(model, inputs, 3, targets)
    np.testing.assert_allclose(found, expected["point_outputs_with_teacher"], atol=1e-5)
    inside = targets != given["pad_idx"]
    for forced, outputs in ((True, "point_outputs_with_teacher"), (False, "point_outputs")):
        _, nats = model.nats(inputs, targets, forced, training=False)
        of_target = np.take_along_axis(np.array(expected[outputs]), targets[..., None], -1)[..., 0]
        np.testing.assert_allclose(to_numpy(nats), -np.log(of_target), atol=1e-5)
        if forced:
            np.testing.assert_allclose(to_numpy(nats)[inside].mean(), expected["loss_gen_with_teacher"], atol=1e-5)


def test_the_loss_is_that_of_klue():
    ((given, expected),) = CASES["wos_SlotGenerator"]
    tracker = make(slots=["식당-지역", "식당-예약 시간"], teacher_forcing=1.0, max_value=3)
    tracker.model, inputs = klue_generator(given)
    tracker.model.dropout.rate = 0.0
    targets = np.array(given["teacher_for_second_run"], "int32")
    labels = np.concatenate([np.reshape(given["gating_ids"], (2, 2, 1)), np.where(targets == 0, -1, targets)], -1)
    filled = {name: np.concatenate([value, value[:1]]) for name, value in inputs.items()}
    read = tracker.model.read
    tracker.model.read = lambda *a: [ops.concatenate([x, x[:1]]) for x in read(*a)]
    batch = filled | {"labels": np.concatenate([labels, labels[:1]]), "sample_weight": np.float32([1, 1, 0])}
    loss, parts = tracker.loss(batch)
    np.testing.assert_allclose(float(parts["generation"]), expected["loss_gen_with_teacher"], atol=1e-5)
    np.testing.assert_allclose(float(parts["gate"]), expected["loss_gate"], atol=1e-5)
    np.testing.assert_allclose(float(loss), float(parts["generation"]) + float(parts["gate"]), atol=1e-6)


# === The equations of TRADE, once more in NumPy ===


@pytest.mark.parametrize("kind", [Bert, Electra])
def test_generation_equals_the_equations_in_numpy(kind):
    encoder = encoder_of(20, kind)
    slot_ids = np.array([[5, 6], [7, 0], [8, 9]], "int32")
    model, random = SlotGenerator(encoder, slot_ids), np.random.default_rng(0)
    for variable in (*model.cell.trainable_variables, *model.share.variables, *model.gate.variables):
        variable.assign(random.normal(size=variable.shape) * 0.3)
    ids = np.array([[2, 5, 6, 6, 11, 3], [2, 12, 13, 3, 0, 0]], "int32")
    mask = (ids > 0).astype("int32")
    gates, values = model([ids, mask, np.zeros_like(ids)], length=4)

    pooled, memory = (to_numpy(x) for x in encoder([ids, mask, np.zeros_like(ids)]))
    table = to_numpy(encoder.word_embeddings)
    if kind is Electra:  # its words are narrower than its layers, and it has no pooler
        project = encoder.embeddings_project
        table = table @ to_numpy(project.kernel) + to_numpy(project.bias)
        pooled = np.tanh(pooled @ to_numpy(model.pooler.kernel) + to_numpy(model.pooler.bias))
    kernel, recurrent, bias = map(to_numpy, model.cell.trainable_variables)
    hidden = table.shape[1]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def softmax(x):
        return np.exp(x - x.max()) / np.exp(x - x.max()).sum()

    for row in range(2):
        history, words = memory[row][mask[row] > 0], ids[row][mask[row] > 0]
        for slot in range(3):
            w, h = table[slot_ids[slot]].sum(0), pooled[row]
            for step in range(4):
                inner, outer = w @ kernel + bias[0], h @ recurrent + bias[1]
                z, r = (sigmoid((inner + outer)[i * hidden : (i + 1) * hidden]) for i in range(2))
                h = z * h + (1 - z) * np.tanh(inner[2 * hidden :] + r * outer[2 * hidden :])
                attention = softmax(history @ h)
                context = attention @ history
                if step == 0:
                    expected = context @ to_numpy(model.gate.kernel) + to_numpy(model.gate.bias)
                    np.testing.assert_allclose(to_numpy(gates)[row, slot], expected, atol=1e-4)
                share = np.concatenate([w, h, context]) @ to_numpy(model.share.kernel)[:, 0]
                generate = sigmoid(share + to_numpy(model.share.bias)[0])
                copied = np.zeros(len(table))
                np.add.at(copied, words, attention)
                p = generate * softmax(table @ h) + (1 - generate) * copied
                assert to_numpy(values)[row, slot, step] == p.argmax()
                w = table[p.argmax()]


# === Training, saving ===


def dialogues(count, seed):
    """A place or any; then perhaps a time; then perhaps whether cars can be parked."""
    random, data = np.random.default_rng(seed), DialogueData([], [], [], [])
    for i in range(count):
        place, time = str(random.choice([*PLACES, "dontcare"])), str(random.choice(TIMES))
        utterances = ["어디든 좋아" if place == "dontcare" else f"{place}에 식당 찾아"]
        state = [f"식당-지역-{place}"]
        states = [state]
        if random.random() < 0.7:
            utterances += ["몇 시?", f"{time} 예약할게"]
            states.append(state := [*state, f"식당-예약 시간-{time}"])
        if random.random() < 0.5:
            parking = random.random() < 0.5
            utterances += ["주차장 필요해?", "네 주차 되는 곳" if parking else "주차 없어도 좋아"]
            states.append([*state, f"식당-주차-{'yes' if parking else 'no'}"])
        data.ids.append(str(i))
        data.utterances.append(utterances)
        data.states.append(states)
        data.domains.append(["식당"])
    return data


@pytest.mark.slow
def test_it_learns_and_reports_and_is_saved(tmp_path):
    train = dialogues(24, 0)
    tracker = make(max_value=5)
    history = tracker.fit(train, train, epochs=25, learning_rate=3e-3, batch_size=16)
    assert tracker.slots == ["식당-예약 시간", "식당-주차", "식당-지역"]
    report = tracker.evaluate(train)
    assert report["joint_goal_accuracy"] > 0.6 and report["slot_f1"] > 0.8, history
    assert report["turns"] == len(train.truth()) and [] not in train.truth()  # nothing predicted is never right
    tracker.save(tmp_path / "dst")
    again = DialogueTracker.load(tmp_path / "dst")
    others = dialogues(8, 1).utterances
    assert again.predict(others) == tracker.predict(others)
    assert again.evaluate(train) == report
    assert tracker.predict([train.utterances[0], ["네"]])[0] == tracker.predict(train.utterances[:1])[0]


# === What is left ===


def test_values_are_written_as_in_the_ontology():
    ontology = {"식당-지역": ["서울-부산"], "식당-주차": ["서울"]}
    tracker = make(ontology=ontology)
    assert tracker.slots == ["식당-주차", "식당-지역"]
    values = [[VOCAB.index(piece) for piece in ("서울", "-", "부산", "[SEP]")]] * 2
    assert tracker.state_of([2, 2], values) == ["식당-주차-서울 - 부산", "식당-지역-서울-부산"]


def test_long_values_and_slots_with_two():
    tracker = make(slots=["식당-지역"], max_value=2)
    targets = tracker.targets([["식당-지역-서울"], ["식당-지역-서울", "식당-지역-서울 부산 대구"], []])
    assert [[VOCAB[i] for i in row if i >= 0] for row in targets[:, 0, 1:]] == [
        ["서울", "[SEP]"],
        ["서울", "부산"],
        ["none", "[SEP]"],
    ]
    assert targets[:, 0, 0].tolist() == [2, 2, 0]
    told = tracker.predict([["서울에 식당 찾아", "몇 시?"], ["네", "네", "네"]])
    assert [len(states) for states in told] == [1, 2] and tracker.predict([]) == []


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="max_length is 80; the encoder's position table holds 64"):
        make(max_length=80)
    with pytest.raises(ValueError, match="max_length is 2, max_value 10; expected 3 or more, 1 or more"):
        make(max_length=2)
    with pytest.raises(ValueError, match="the tracker has no head yet: call fit, or give slots"):
        make().predict([["네"]])
    tracker = make(slots=["식당-지역"])
    for wrong in ("네", []):
        with pytest.raises(ValueError, match="expected a list of utterances, the user's first"):
            tracker.predict([wrong])
    with pytest.raises(ValueError, match="the data: the slot '식당-예약 시간'; expected one of"):
        tracker.fit(DialogueData(["0"], [["네"]], [[["식당-예약 시간-18:00"]]], [[]]))
    with pytest.raises(ValueError, match="no state has a slot"):
        make().fit(DialogueData(["0"], [["네"]], [[[]]], [[]]))
