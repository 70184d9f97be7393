"""Dialogue state tracking: the value of each slot is generated or copied (TRADE, Wu et al. 2019)."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkor.data import Batches
from tfkor.data.dialogues import DialogueData, split_state
from tfkor.layers.fast import cross_entropy
from tfkor.layers.inputs import Batch, Tensor, as_batch
from tfkor.metrics import dialogue_report
from tfkor.models.backbone import Backbone
from tfkor.tasks.batches import bucketed, prediction_batches
from tfkor.tasks.heads import TaskModel
from tfkor.tasks.losses import Loss, weighted_mean
from tfkor.tasks.task import Metrics, Task
from tfkor.text import Ragged, Tokenizer
from tfkor.text.ragged import ragged

HIDDEN = -1e9  # the attention's score of padding
GATES = ("none", "dontcare", "ptr", "yes", "no")  # in the order of KLUE-baseline's ids; ptr: what is generated
CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")  # Hugging Face's clean_up_tokenization


@keras.saving.register_keras_serializable("tfkor")
class SlotGenerator(TaskModel):
    """A batch of three int [B, S] -> gate logits float32 [B, J, 5] of J slots, and ids of their values int [B, J, L].

    As in KLUE-baseline with parallel decoding: a GRU decodes each slot, from the pooled vector of the history; its
    first input is the sum of the word vectors of the slot's name. Each step attends to the history, and gives a mixture
    of two distributions, over the vocabulary, whose weights are the encoder's word vectors, and over the pieces of the
    history. The gate is read from what the first step attends to.

    Args:
      encoder: a model of tfkor.
      slot_ids: int [J, P], the pieces of each slot's name, padded with [PAD], whose vector counts too.
      dropout: of the GRU's inputs.
    """

    def __init__(self, encoder: Backbone, slot_ids: Sequence | np.ndarray, dropout: float = 0.1, **kwargs):
        super().__init__(encoder, **kwargs)
        self.slot_ids = np.asarray(slot_ids, np.int32)
        hidden = encoder.config.hidden_size
        self.cell = keras.layers.GRUCell(hidden, dtype="float32", name="gru")
        self.share = keras.layers.Dense(1, dtype="float32", name="share")  # logit of generating; files have this name
        self.gate = keras.layers.Dense(len(GATES), dtype="float32", name="gate")
        self.pooler = None
        if not encoder.pooler.variables:  # ELECTRA's
            self.pooler = keras.layers.Dense(hidden, activation="tanh", dtype="float32", name="pooler")
            self.pooler.build((None, hidden))
        self.cell.build((None, hidden))
        self.share.build((None, None, 3 * hidden))
        self.gate.build((None, None, hidden))
        self.dropout = keras.layers.Dropout(dropout)
        self.seeds = keras.random.SeedGenerator()
        self.built = True

    def read(self, batch: Batch, training: bool) -> tuple[Tensor, Tensor]:
        """The vectors of the history, float32 [B, S, H], and the first state of the decoder, [B, H]."""
        names = ("pooled_output", "sequence_output")
        outputs = self.encoder(batch, training=training, outputs=names)
        pooled, sequence = (ops.cast(outputs[name], "float32") for name in names)
        return sequence, pooled if self.pooler is None else self.pooler(pooled)

    def word_vectors(self, ids: Tensor) -> Tensor:
        """float32 [..., H], as wide as the layers that they go into."""
        words, project = ops.take(self.encoder.word_embeddings, ids, axis=0), self.encoder.embeddings_project
        return ops.cast(words if project is None else project(words), "float32")

    def vocabulary_logits(self, state: Tensor) -> Tensor:
        """float32 [B, J, H] -> [B, J, V], the products with the word vectors, up to a common constant."""
        dtype, project = self.encoder.compute_dtype, self.encoder.embeddings_project
        state = ops.cast(state, dtype)
        if project is not None:
            state = ops.matmul(state, ops.transpose(ops.cast(project.kernel, dtype)))  # [B, J, E]
        return ops.cast(ops.matmul(state, ops.transpose(ops.cast(self.encoder.word_embeddings, dtype))), "float32")

    def decode(self, batch: Batch, length: int, choose: Callable, training: bool = False) -> Tensor:
        """Decodes `length` steps; returns the gates' logits float32 [B, J, 5].

        `choose(step, logits [B, J, V], p_gen [B, J], attention [B, J, S])` gives the ids that are the next step's
        input, int [B, J]; `p_gen` is the logit of generating a piece, not copying it.
        """
        memory, first = self.read(batch, training)
        hidden = HIDDEN * (1.0 - ops.cast(batch["input_mask"], "float32"))[:, None, :]  # [B, 1, S]
        words = ops.sum(self.word_vectors(self.slot_ids), axis=1)[None]  # [1, J, H]
        state = ops.repeat(first[:, None, :], len(self.slot_ids), axis=1)  # [B, J, H]
        words = words + ops.zeros_like(state)
        for step in range(length):
            words = self.dropout(words, training=training)
            width = words.shape[-1]
            flat, _ = self.cell(ops.reshape(words, (-1, width)), ops.reshape(state, (-1, width)))
            state = ops.reshape(flat, ops.shape(words))  # [B, J, H]
            attention = ops.softmax(ops.matmul(state, ops.transpose(memory, (0, 2, 1))) + hidden)  # [B, J, S]
            context = ops.matmul(attention, memory)  # [B, J, H]
            if step == 0:
                gates = self.gate(context)
            p_gen = self.share(ops.concatenate([words, state, context], axis=-1))[..., 0]  # [B, J]
            chosen = choose(step, self.vocabulary_logits(state), p_gen, attention)
            words = self.word_vectors(chosen)
        return gates

    def call(self, inputs: Batch | list[Tensor], length: int = 10, training: bool = False) -> tuple[Tensor, Tensor]:
        batch, values = as_batch(inputs), []

        def choose(step, logits, p_gen, attention):
            values.append(ops.argmax(mixture(batch["input_word_ids"], logits, p_gen, attention), axis=-1))
            return values[-1]

        gates = self.decode(batch, length, choose, training)
        return gates, ops.stack(values, axis=-1)

    def nats(self, batch: Batch, targets: Tensor, forced: Tensor | bool, training: bool = True) -> tuple:
        """The gates' logits, and the negative log probability of the targets int [B, J, L], float32 [B, J, L].

        `forced` is a bool scalar: whether the next step's input is the target, or the likeliest piece.
        """
        ids, nats = ops.cast(batch["input_word_ids"], "int32"), []

        def choose(step, logits, p_gen, attention):
            target = targets[:, :, step]  # [B, J]
            inside = ops.cast(target[..., None] == ids[:, None, :], "float32")  # [B, J, S]
            copied = ops.sum(attention * inside, axis=-1)
            generate = ops.log_sigmoid(p_gen) - cross_entropy(target, logits)
            copy = ops.log_sigmoid(-p_gen) + ops.log(ops.maximum(copied, 1e-30))  # the log's gradient is finite
            nats.append(-ops.logaddexp(generate, copy))
            found = [ops.stop_gradient(each) for each in (logits, p_gen, attention)]
            return ops.cond(
                forced, lambda: target, lambda: ops.cast(ops.argmax(mixture(ids, *found), axis=-1), "int32")
            )

        gates = self.decode(batch, targets.shape[-1], choose, training)
        return gates, ops.stack(nats, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"slot_ids": self.slot_ids.tolist(), "dropout": self.dropout.rate}


def mixture(ids: Tensor, logits: Tensor, p_gen: Tensor, attention: Tensor) -> Tensor:
    """p(word) = g p(word | vocabulary) + (1 - g) p(word | history), g = sigmoid(p_gen): float32 [B, J, V].

    `ids` int [B, S] are those of the history, whose attention float32 [B, J, S] is added up where a word occurs twice.
    """
    batch, slots, length = ops.shape(attention)
    rows, columns, _ = ops.meshgrid(ops.arange(batch), ops.arange(slots), ops.arange(length), indexing="ij")
    words = ops.zeros_like(rows) + ops.cast(ids, rows.dtype)[:, None, :]
    copied = ops.scatter(ops.stack([rows, columns, words], axis=-1), attention, ops.shape(logits))
    generate = ops.sigmoid(p_gen)[..., None]
    return generate * ops.softmax(logits) + (1.0 - generate) * copied


class DialogueTracker(Task):
    """What the user of a dialogue wants, after each of the user's turns: a list of "domain-slot-value".

        tracker = DialogueTracker(encoder, tokenizer=tokenizer)
        tracker.fit(read_klue_wos("wos-v1.1_train.json"), validation=read_klue_wos("wos-v1.1_dev.json"))
        tracker.predict([["서울에 있는 호텔 찾아 주세요.", "가격대는요?", "저렴한 곳이요."]])
        # [[["숙소-지역-서울 중앙"], ["숙소-지역-서울 중앙", "숙소-가격대-저렴"]]]

    Args:
      encoder: a model of tfkor.
      slots: list of "domain-slot"; None takes those of the ontology, else those that `fit` sees.
      ontology: None, or {slot: its values} as `tfkor.data.read_ontology` gives; what is generated is then written as a
        value of its slot that has the same pieces. Without, as KLUE-baseline does it: 나-다 comes out as 나 - 다.
      dropout: of the decoder's inputs.
      teacher_forcing: fraction of the training steps in which the decoder gets the true pieces.
      tokenizer: a tfkor.text.Tokenizer.
      max_length: tokens of a row; the beginning of a longer history is truncated.
      max_value: pieces of a value that are generated, [SEP] among them; 10 in KLUE-baseline.
    """

    settings = ("slots", "ontology", "dropout", "teacher_forcing", "max_length", "max_value")
    monitor = "slot_f1"

    def __init__(
        self,
        encoder: Backbone,
        slots: Sequence[str] | None = None,
        ontology: dict[str, list[str]] | None = None,
        dropout: float = 0.1,
        teacher_forcing: float = 0.5,
        *,
        tokenizer: Tokenizer,
        max_length: int = 510,
        max_value: int = 10,
    ):
        super().__init__(encoder, tokenizer, max_length)
        if max_length < 3 or max_value < 1:
            raise ValueError(f"max_length is {max_length}, max_value {max_value}; expected 3 or more, 1 or more")
        self.ontology, self.max_value = ontology, max_value
        self.dropout, self.teacher_forcing = dropout, teacher_forcing
        self.slots = slots or (ontology and sorted(ontology))
        if self.slots:
            self.slots = list(self.slots)
            self.build()

    def build(self) -> None:
        """Makes `model`, for the slots that the tracker has."""
        names = self.tokenizer.ids([slot.replace("-", " ") for slot in self.slots]).to_lists()
        longest = max(map(len, names))
        padded = [[*ids, *[self.tokenizer.pad_id] * (longest - len(ids))] for ids in names]
        self.spelled = {slot: {} for slot in self.slots}  # {pieces: value}
        for slot, values in (self.ontology or {}).items():
            for ids, value in zip(self.tokenizer.ids(values).to_lists(), values):
                self.spelled.setdefault(slot, {}).setdefault(tuple(ids), value)
        model = SlotGenerator(self.encoder, padded, self.dropout)

        def outputs(batch):
            gates, values = model(batch, length=self.max_value)
            return ops.argmax(gates, axis=-1), values

        self.set_model(model, outputs)

    def idle_variables(self) -> tuple:
        return ()  # the decoder begins with what the pooler gives

    def prepare(self, train: DialogueData) -> None:
        """Takes the slots from the training data."""
        if self.slots is None:
            self.slots = train.slots
        if unknown := sorted(set(train.slots) - set(self.slots)):
            raise ValueError(f"{train.name}: the slot {unknown[0]!r}; expected one of {self.slots}")
        if not self.slots:
            raise ValueError(f"{train.name}: no state has a slot; expected some, or slots, or an ontology")
        if self.model is None:
            self.build()

    def rows(self, dialogues: Sequence[Sequence[str]]) -> Ragged:
        """Ragged ids, a row for each utterance of the user: [CLS] history [SEP] system [SEP] user [SEP].

        As KLUE-baseline makes them, the history is truncated on the left, and begins with an empty utterance of
        the system, since the user speaks first.
        """
        cls_id, sep_id = self.tokenizer.cls_id, self.tokenizer.sep_id
        pieces = iter(self.tokenizer.ids([text for utterances in dialogues for text in utterances]).to_lists())
        rows = []
        for utterances in dialogues:
            history = []
            for i, _ in enumerate(utterances):
                history += [sep_id, *next(pieces)]
                if i % 2 == 0:
                    row = history if i else [sep_id, *history]
                    rows.append([cls_id, *row[-(self.max_length - 2) :], sep_id])
        return ragged(rows)

    def targets(self, states: Sequence[Sequence[str]]) -> np.ndarray:
        """int32 [N, J, 1 + L]: each slot's gate, and the pieces of its value and [SEP], truncated or padded with -1."""
        values = [dict(map(split_state, state)) for state in states]
        known = sorted({"none"}.union(*(state.values() for state in values)))
        rows = [[*ids, self.tokenizer.sep_id][: self.max_value] for ids in self.tokenizer.ids(known).to_lists()]
        table = np.full((len(known), 1 + self.max_value), -1, np.int32)
        for row, value, ids in zip(table, known, rows):
            row[0] = GATES.index(value if value in GATES else "ptr")
            row[1 : 1 + len(ids)] = ids
        number = {value: i for i, value in enumerate(known)}
        return table[[[number[state.get(slot, "none")] for slot in self.slots] for state in values]]

    def batches(self, data: DialogueData, batch_size: int, max_buckets: int, seed: int) -> Batches:
        options = dict(batch_size=batch_size, max_buckets=max_buckets, seed=seed)
        return bucketed(self.rows(data.utterances), None, {}, self.targets(data.truth()), **options)

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The mean over pieces of the cross entropy of values, and that over slots of the gates'."""
        labels, weight = ops.cast(batch["labels"], "int32"), batch["sample_weight"][:, None]
        gates = labels[..., 0]
        targets = ops.reshape(labels[..., 1:], (-1, len(self.slots), self.max_value))  # a graph may not know its shape
        forced = keras.random.uniform((), seed=self.model.seeds) < self.teacher_forcing
        logits, nats = self.model.nats(batch, ops.maximum(targets, 0), forced)
        inside = ops.cast(targets >= 0, "float32") * weight[..., None]
        generation = weighted_mean(nats, inside, least=1.0)
        losses = ops.mean((loss_function or self.loss_function)(gates, logits), axis=-1, keepdims=True)
        gate = weighted_mean(losses, weight)
        return generation + gate, {"generation": generation, "gate": gate}

    def predict(self, dialogues: Sequence[Sequence[str]], batch_size: int = 16) -> list[list[list[str]]]:
        """Lists of utterances, the user's and the system's by turns -> for each a list with the user's states.

        Raises:
          ValueError: the tracker isn't trained, or a dialogue is not a list of utterances.
        """
        if self.model is None:
            raise ValueError("the tracker has no head yet: call fit, or give slots")
        if wrong := [found for found in dialogues if isinstance(found, str) or not len(found)]:
            raise ValueError(f"a dialogue is {wrong[0]!r}; expected a list of utterances, the user's first")
        if not len(dialogues):
            return []
        ids = self.rows(dialogues)
        states = [None] * len(ids.lengths)
        options = dict(batch_size=batch_size, max_length=self.max_length)
        for rows, batch in prediction_batches(ids, **options):
            gates, values = (np.asarray(output) for output in self.outputs(batch))
            for row, *found in zip(rows, gates, values):
                states[row] = self.state_of(*found)
        ends = np.cumsum([(len(utterances) + 1) // 2 for utterances in dialogues])
        return [states[begin:end] for begin, end in zip([0, *ends], ends)]

    def state_of(self, gates: np.ndarray, values: np.ndarray) -> list[str]:
        """Gates int [J] and generated ids [J, L] -> a state (KLUE-baseline, recover_state)."""
        tokenizer, state = self.tokenizer, []
        special = {tokenizer.pad_id, tokenizer.unk_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id}
        for slot, gate, ids in zip(self.slots, gates, values):
            value = GATES[gate]
            if value == "ptr":
                pieces = tuple(takewhile(lambda i: i not in special, map(int, ids)))
                value = self.spelled[slot].get(pieces) or written(tokenizer.decode(pieces))
            if value != "none":
                state.append(f"{slot}-{value}")
        return state

    def evaluate(self, data: DialogueData) -> Metrics:
        """DialogueData -> joint_goal_accuracy and slot_f1 (`tfkor.metrics.dialogue_report`)."""
        predicted = [state for states in self.predict(data.utterances) for state in states]
        return {**dialogue_report(data.truth(), predicted), "turns": len(predicted)}


def written(text: str) -> str:
    """Decoded pieces -> a value, without the blanks around punctuation."""
    for cleaned in CLEANED:
        text = text.replace(cleaned, cleaned.strip())
    return text.replace(" : ", ":").replace(" , ", ", ").replace("##", "")
