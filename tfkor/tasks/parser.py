"""Dependency parsing with a biaffine head (Dozat and Manning 2017) on the pieces of each word."""

import keras
import numpy as np
from keras import ops

from tfkor.data.trees import KLUE_DP_RELATIONS
from tfkor.layers import gather_positions
from tfkor.layers.inputs import INPUT_NAMES
from tfkor.metrics import dependency_report
from tfkor.tasks.batches import bucketed, prediction_batches
from tfkor.tasks.task import Task
from tfkor.text.ragged import ragged

HIDDEN = -1e9  # the score of what is no word
TAG_SIZE = 128  # of the embedding of a part of speech


@keras.saving.register_keras_serializable("tfkor")
class BiaffineModel(keras.Model):
    """Inputs int [B, S] -> scores float32 [B, S, S] of each token's head, and [B, S, S, R] of the relation to it.

    A word is at its first piece; its vector is that of its first and of its last piece, as in KLUE-baseline, and with
    `num_tags` an embedding of its part of speech. The root is at [CLS]. Scores are a bilinear form of two projections,
    and for heads a linear one of the head's as well.
    """

    def __init__(self, encoder, num_relations, num_tags=0, arc_size=512, relation_size=256, dropout=0.33, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.num_relations = encoder, num_relations
        hidden = 2 * encoder.config.hidden_size
        self.tag_table = keras.layers.Embedding(num_tags + 1, TAG_SIZE, name="tags") if num_tags else None
        self.dropout = keras.layers.Dropout(dropout)
        width = hidden + (TAG_SIZE if num_tags else 0)

        def dense(units, name):
            layer = keras.layers.Dense(units, activation="elu", dtype="float32", name=name)
            layer.build((None, None, width))
            return layer

        self.arc_head, self.arc_word = dense(arc_size, "arc_head"), dense(arc_size, "arc_word")
        self.relation_head, self.relation_word = dense(relation_size, "rel_head"), dense(relation_size, "rel_word")
        if num_tags:
            self.tag_table.build()
        zeros, glorot = "zeros", "glorot_uniform"
        self.arc_form = self.add_weight(shape=(arc_size, arc_size), initializer=glorot, name="arc_form")
        self.arc_bias = self.add_weight(shape=(arc_size,), initializer=zeros, name="arc_bias")
        shape = (num_relations, relation_size + 1, relation_size + 1)  # 1: linear terms and the bias
        self.relation_form = self.add_weight(shape=shape, initializer=zeros, name="relation_form")
        self.built = True

    def words(self, batch, training):
        """float32 [B, S, 2 H + T]: the vector of the word that begins at each token."""
        _, sequence = self.encoder([batch[name] for name in INPUT_NAMES], training=training)
        sequence = ops.cast(sequence, "float32")
        parts = [sequence, gather_positions(sequence, ops.cast(batch["ends"], "int32"))]
        if self.tag_table is not None:
            parts.append(ops.cast(self.tag_table(batch["tags"]), "float32"))
        return self.dropout(ops.concatenate(parts, axis=-1), training=training)

    def call(self, batch, training=False):
        words = self.words(batch, training)
        heads, dependents = (self.dropout(layer(words), training=training) for layer in (self.arc_head, self.arc_word))
        scores = ops.matmul(ops.matmul(dependents, self.arc_form), ops.transpose(heads, (0, 2, 1)))  # [B, S, S]
        scores = scores + ops.matmul(heads, self.arc_bias[:, None])[:, None, :, 0]
        candidates = ops.cast(batch["is_word"], "float32")  # [B, S]; [CLS] too
        return scores + HIDDEN * (1.0 - candidates)[:, None, :], self.relation_parts(words, training)

    def relation_parts(self, words, training):
        """Two tensors [B, S, D + 1], the heads' and the dependents', with a 1 behind."""
        parts = (self.dropout(layer(words), training=training) for layer in (self.relation_head, self.relation_word))
        return [ops.concatenate([part, ops.ones_like(part[..., :1])], axis=-1) for part in parts]

    def relations(self, parts, heads):
        """Scores float32 [B, S, R] of the relation of each token to its head at `heads` int [B, S]."""
        chosen = gather_positions(parts[0], heads)  # [B, S, D + 1]
        return ops.einsum("bsd,rde,bse->bsr", parts[1], self.relation_form, chosen)


class DependencyParser(Task):
    """The head of each word of a sentence, and the relation to it.

        parser = DependencyParser(encoder, tokenizer=tokenizer)
        parser.fit(read_klue_dp("klue-dp-v1.1_train.tsv"), validation=read_klue_dp("klue-dp-v1.1_dev.tsv"))
        parser.parse([["나는", "학교에", "간다."]])        # ([[3, 3, 0]], [["NP_SBJ", "NP_AJT", "VP"]])

    Args:
      encoder: a model of tfkor.
      relations: their names; None takes those that `fit` sees, KLUE-DP's in its order.
      tags: parts of speech whose gold values go in, as KLUE-baseline does; () for none.
      dropout: of the words' vectors and of the projections.
      tokenizer: a tfkor.text.Tokenizer.
      max_length: tokens of a row, [CLS] and [SEP] among them; words beyond get the head 0.
    """

    settings = ("relations", "tags", "dropout", "max_length")
    monitor = "las"

    def __init__(self, encoder, relations=None, tags=(), dropout=0.33, *, tokenizer, max_length=256):
        if max_length > encoder.max_length:
            raise ValueError(f"max_length is {max_length}; the encoder's position table holds {encoder.max_length}")
        self.encoder, self.tokenizer, self.max_length = encoder, tokenizer, max_length
        self.relations = None if relations is None else list(relations)
        self.tags, self.dropout = list(tags), dropout
        self.model = None
        if relations:
            self.build()

    def build(self):
        model = BiaffineModel(self.encoder, len(self.relations), len(self.tags), dropout=self.dropout)
        self.set_model(model)

        def outputs(batch):
            scores, parts = model(batch)
            heads = ops.argmax(scores, axis=-1)
            return heads, ops.argmax(model.relations(parts, heads), axis=-1)

        self.set_outputs(outputs)

    def prepare(self, train):
        seen = {relation for relations in train.relations for relation in relations}
        if self.relations is None:
            self.relations = list(KLUE_DP_RELATIONS) if seen <= set(KLUE_DP_RELATIONS) else sorted(seen)
        if unknown := sorted(seen - set(self.relations)):
            raise ValueError(f"{train.name}: the relation {unknown[0]!r}; expected one of {self.relations}")
        if self.model is None:
            self.build()

    def rows(self, sentences, tags):
        """Ragged ids; {name: Ragged} of is_word, ends and tags; the places of each sentence's words, 0 for none."""
        ids, columns, places = [], {"is_word": [], "ends": [], "tags": []}, []
        number = {tag: i + 1 for i, tag in enumerate(self.tags)}
        all_offsets = self.tokenizer.all_offsets([" ".join(words) for words in sentences])
        for row, (words, (pieces, spans)) in enumerate(zip(sentences, all_offsets)):
            pieces, spans = pieces[: self.max_length - 2], spans[: self.max_length - 2]
            first, last = pieces_of_words(words, spans)
            at = {place: i for i, place in enumerate(first) if place}
            ids.append([self.tokenizer.cls_id, *pieces, self.tokenizer.sep_id])
            inside = range(1, len(pieces) + 1)
            columns["is_word"].append([1, *(int(place in at) for place in inside), 0])
            columns["ends"].append([0, *(last[at[place]] if place in at else 0 for place in inside), 0])
            of_row = [number.get(tag, 0) for tag in tags[row]] if self.tags else []
            columns["tags"].append([0, *(of_row[at[place]] if self.tags and place in at else 0 for place in inside), 0])
            places.append(first)
        return ragged(ids), {name: ragged(rows) for name, rows in columns.items()}, places

    def batches(self, data, batch_size, max_buckets, seed):
        ids, columns, places = self.rows(data.words, data.tags)
        number = {relation: i for i, relation in enumerate(self.relations)}
        heads, relations = np.zeros((2, len(ids.values)), np.int32)  # 0: not looked at, else the place + 1, the id + 1
        for row, first in enumerate(places):
            for word, place in enumerate(first):
                head = data.heads[row][word]
                target = first[head - 1] if head else 0
                if place and (target or not head):
                    at = ids.row_splits[row] + place
                    heads[at], relations[at] = target + 1, number[data.relations[row][word]] + 1
        columns |= {"heads": ids._replace(values=heads), "relations": ids._replace(values=relations)}
        return bucketed(ids, None, columns, batch_size=batch_size, max_buckets=max_buckets, seed=seed)

    def loss(self, batch):
        """The mean over words of the cross entropies of head and relation; the relation is that to the true head."""
        scores, parts = self.model(batch, training=True)
        wanted = ops.cast(batch["heads"], "int32")
        heads, relations = ops.maximum(wanted - 1, 0), ops.maximum(ops.cast(batch["relations"], "int32") - 1, 0)
        losses = ops.sparse_categorical_crossentropy(heads, scores, from_logits=True)
        relation_scores = self.model.relations(parts, heads)
        losses = losses + ops.sparse_categorical_crossentropy(relations, relation_scores, from_logits=True)
        weights = ops.cast(wanted > 0, "float32") * batch["sample_weight"][:, None]
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0), {}

    def parse(self, sentences, tags=None, batch_size=64):
        """Lists of words, and of their tags if the parser takes them -> the heads, from 1, and the relations.

        Raises:
          ValueError: the parser takes tags, and none are given.
        """
        if self.model is None:
            raise ValueError("the parser has no head yet: call fit, or give relations")
        if self.tags and tags is None:
            raise ValueError("the parser takes tags of words; expected parse(sentences, tags)")
        if not sentences:
            return [], []
        ids, columns, places = self.rows(sentences, tags)
        heads, relations = [None] * len(sentences), [None] * len(sentences)
        options = dict(batch_size=batch_size, max_length=self.max_length)
        for rows, batch in prediction_batches(ids, None, columns, **options):
            found = (np.asarray(output) for output in self.outputs(batch))
            for row, row_heads, row_relations in zip(rows, *found):
                word_at = {place: i + 1 for i, place in enumerate(places[row]) if place}
                heads[row] = [word_at.get(int(row_heads[place]), 0) if place else 0 for place in places[row]]
                relations[row] = [self.relations[row_relations[place]] for place in places[row]]
        return heads, relations

    def evaluate(self, data):
        """TreeData -> uas and las, and KLUE's macro F1 of both (`tfkor.metrics.dependency_report`)."""
        heads, relations = self.parse(data.words, data.tags)
        number = {relation: i for i, relation in enumerate(self.relations)}
        flat = [
            [number.get(value, len(number)) if isinstance(value, str) else value for row in rows for value in row]
            for rows in (data.heads, data.relations, heads, relations)
        ]
        merged = {} if tuple(self.relations) == KLUE_DP_RELATIONS else {"merged": None}
        return dependency_report(*flat, **merged)


def pieces_of_words(words, spans):
    """The place of the first and of the last piece of each word, from 1; 0 where a word has none."""
    first, last, begin = [0] * len(words), [0] * len(words), 0
    word_at = {}
    for i, word in enumerate(words):
        word_at |= dict.fromkeys(range(begin, begin + len(word)), i)
        begin += len(word) + 1
    for place, (start, _) in enumerate(spans, 1):
        if (i := word_at.get(start)) is not None:
            first[i] = first[i] or place
            last[i] = place
    return first, last
