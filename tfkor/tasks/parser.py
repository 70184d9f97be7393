"""Dependency parsing with a biaffine head (Dozat and Manning 2017) on the pieces of each word."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfkor.data import Batches
from tfkor.data.trees import KLUE_DP_RELATIONS, TreeData
from tfkor.layers import gather_positions
from tfkor.layers.inputs import Batch, Tensor
from tfkor.metrics import dependency_report
from tfkor.models.backbone import Backbone
from tfkor.tasks.batches import bucketed, prediction_batches
from tfkor.tasks.heads import TaskModel
from tfkor.tasks.losses import Loss, weighted_mean
from tfkor.tasks.task import Metrics, Task
from tfkor.text import Ragged, Tokenizer
from tfkor.text.ragged import ragged

HIDDEN = -1e9  # the score of a token that is not a word
TAG_SIZE = 128  # of the embedding of a part of speech


@keras.saving.register_keras_serializable("tfkor")
class BiaffineModel(TaskModel):
    """A batch -> scores float32 [B, S, S] of each token's head, and what `relations` makes scores [B, S, R] of.

    The batch has the three inputs and is_word, ends and tags, int [B, S] each. A word is at its first piece; its vector
    is that of its first and of its last piece, as in KLUE-baseline, and with `num_tags` an embedding of its part of
    speech. The root is at [CLS]. Scores are a bilinear form of two projections, and for heads a linear one of the
    head's as well.
    """

    def __init__(
        self,
        encoder: Backbone,
        num_relations: int,
        num_tags: int = 0,
        arc_size: int = 512,
        relation_size: int = 256,
        dropout: float = 0.33,
        **kwargs,
    ):
        super().__init__(encoder, **kwargs)
        self.num_relations, self.num_tags = num_relations, num_tags
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

    def words(self, batch: Batch, training: bool) -> Tensor:
        """float32 [B, S, 2 H + T]: the vector of the word that begins at each token."""
        sequence = ops.cast(self.sequence_output(batch, training), "float32")
        parts = [sequence, gather_positions(sequence, ops.cast(batch["ends"], "int32"))]
        if self.tag_table is not None:
            parts.append(ops.cast(self.tag_table(batch["tags"]), "float32"))
        return self.dropout(ops.concatenate(parts, axis=-1), training=training)

    def call(self, batch: Batch, training: bool = False) -> tuple[Tensor, list[Tensor]]:
        words = self.words(batch, training)
        heads, dependents = (self.dropout(layer(words), training=training) for layer in (self.arc_head, self.arc_word))
        scores = ops.matmul(ops.matmul(dependents, self.arc_form), ops.transpose(heads, (0, 2, 1)))  # [B, S, S]
        scores = scores + ops.matmul(heads, self.arc_bias[:, None])[:, None, :, 0]
        candidates = ops.cast(batch["is_word"], "float32")  # [B, S]; [CLS] too
        return scores + HIDDEN * (1.0 - candidates)[:, None, :], self.relation_parts(words, training)

    def relation_parts(self, words: Tensor, training: bool) -> list[Tensor]:
        """Two tensors [B, S, D + 1], the heads' and the dependents', with a 1 appended."""
        parts = (self.dropout(layer(words), training=training) for layer in (self.relation_head, self.relation_word))
        return [ops.concatenate([part, ops.ones_like(part[..., :1])], axis=-1) for part in parts]

    def relations(self, parts: list[Tensor], heads: Tensor) -> Tensor:
        """Scores float32 [B, S, R] of the relation of each token to its head at `heads` int [B, S]."""
        chosen = gather_positions(parts[0], heads)  # [B, S, D + 1]
        return ops.einsum("bsd,rde,bse->bsr", parts[1], self.relation_form, chosen)

    def get_config(self) -> dict[str, Any]:
        sizes = {"arc_size": self.arc_head.units, "relation_size": self.relation_head.units}
        counts = {"num_relations": self.num_relations, "num_tags": self.num_tags}
        return super().get_config() | sizes | counts | {"dropout": self.dropout.rate}


class DependencyParser(Task):
    """The head of each word of a sentence, and the relation to it.

        parser = DependencyParser(encoder, tokenizer=tokenizer)
        parser.fit(read_klue_dp("klue-dp-v1.1_train.tsv"), validation=read_klue_dp("klue-dp-v1.1_dev.tsv"))
        parser.predict([["나는", "학교에", "간다."]])      # ([[3, 3, 0]], [["NP_SBJ", "NP_AJT", "VP"]])

    Args:
      encoder: a model of tfkor.
      relations: their names; None takes those that `fit` sees, KLUE-DP's in its order.
      tags: parts of speech whose gold values go in, as KLUE-baseline does; () for none.
      dropout: of the words' vectors and of the projections.
      tokenizer: a tfkor.text.Tokenizer.
      max_length: tokens of a row, [CLS] and [SEP] among them; words beyond that get the head 0.
    """

    settings = ("relations", "tags", "dropout", "max_length")
    monitor = "las"

    def __init__(
        self,
        encoder: Backbone,
        relations: Sequence[str] | None = None,
        tags: Sequence[str] = (),
        dropout: float = 0.33,
        *,
        tokenizer: Tokenizer,
        max_length: int = 256,
    ):
        super().__init__(encoder, tokenizer, max_length)
        self.relations = None if relations is None else list(relations)
        self.tags, self.dropout = list(tags), dropout
        if relations:
            self.build()

    def build(self) -> None:
        """Makes `model`, for the relations and tags that the parser has."""
        model = BiaffineModel(self.encoder, len(self.relations), len(self.tags), dropout=self.dropout)

        def outputs(batch):
            scores, parts = model(batch)
            heads = ops.argmax(scores, axis=-1)
            return heads, ops.argmax(model.relations(parts, heads), axis=-1)

        self.set_model(model, outputs)

    def prepare(self, train: TreeData) -> None:
        """Takes the relations from the training data."""
        seen = {relation for relations in train.relations for relation in relations}
        if self.relations is None:
            self.relations = list(KLUE_DP_RELATIONS) if seen <= set(KLUE_DP_RELATIONS) else sorted(seen)
        if unknown := sorted(seen - set(self.relations)):
            raise ValueError(f"{train.name}: the relation {unknown[0]!r}; expected one of {self.relations}")
        if self.model is None:
            self.build()

    def rows(self, sentences: Sequence, tags: Sequence | None) -> tuple[Ragged, dict[str, Ragged], list[list[int]]]:
        """Ragged ids; {name: Ragged} of is_word, ends and tags; the position of each word's first piece, 0 for none."""
        ids, columns, first_pieces = [], {"is_word": [], "ends": [], "tags": []}, []
        number = {tag: i + 1 for i, tag in enumerate(self.tags)}
        all_offsets = self.tokenizer.all_offsets([" ".join(words) for words in sentences])
        for row, (words, (pieces, spans)) in enumerate(zip(sentences, all_offsets)):
            pieces, spans = pieces[: self.max_length - 2], spans[: self.max_length - 2]
            first, last = pieces_of_words(words, spans)
            at = {piece: i for i, piece in enumerate(first) if piece}
            ids.append([self.tokenizer.cls_id, *pieces, self.tokenizer.sep_id])
            inside = range(1, len(pieces) + 1)
            columns["is_word"].append([1, *(int(piece in at) for piece in inside), 0])
            columns["ends"].append([0, *(last[at[piece]] if piece in at else 0 for piece in inside), 0])
            of_row = [number.get(tag, 0) for tag in tags[row]] if self.tags else []
            columns["tags"].append([0, *(of_row[at[piece]] if self.tags and piece in at else 0 for piece in inside), 0])
            first_pieces.append(first)
        return ragged(ids), {name: ragged(rows) for name, rows in columns.items()}, first_pieces

    def batches(self, data: TreeData, batch_size: int, max_buckets: int, seed: int) -> Batches:
        ids, columns, first_pieces = self.rows(data.words, data.tags)
        number = {relation: i for i, relation in enumerate(self.relations)}
        heads, relations = np.zeros((2, len(ids.values)), np.int32)  # 0: ignored, else the position + 1, the id + 1
        for row, first in enumerate(first_pieces):
            for word, piece in enumerate(first):
                head = data.heads[row][word]
                target = first[head - 1] if head else 0
                if piece and (target or not head):
                    at = ids.row_splits[row] + piece
                    heads[at], relations[at] = target + 1, number[data.relations[row][word]] + 1
        columns |= {"heads": ids._replace(values=heads), "relations": ids._replace(values=relations)}
        return bucketed(ids, None, columns, batch_size=batch_size, max_buckets=max_buckets, seed=seed)

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The mean over words of the cross entropies of head and relation; the relation is that to the true head."""
        scores, parts = self.model(batch, training=True)
        wanted = ops.cast(batch["heads"], "int32")
        heads, relations = ops.maximum(wanted - 1, 0), ops.maximum(ops.cast(batch["relations"], "int32") - 1, 0)
        loss_function = loss_function or self.loss_function
        losses = loss_function(heads, scores) + loss_function(relations, self.model.relations(parts, heads))
        weights = ops.cast(wanted > 0, "float32") * batch["sample_weight"][:, None]
        return weighted_mean(losses, weights, least=1.0), {}

    def predict(
        self, sentences: Sequence[Sequence[str]], tags: Sequence | None = None, batch_size: int = 64
    ) -> tuple[list[list[int]], list[list[str]]]:
        """Lists of words, and of their tags if the parser takes them -> the heads, from 1, and the relations.

        Raises:
          ValueError: the parser takes tags, and none are given.
        """
        if self.model is None:
            raise ValueError("the parser has no head yet: call fit, or give relations")
        if self.tags and tags is None:
            raise ValueError("the parser takes tags of words; expected predict(sentences, tags)")
        if not sentences:
            return [], []
        ids, columns, first_pieces = self.rows(sentences, tags)
        heads, relations = [None] * len(sentences), [None] * len(sentences)
        options = dict(batch_size=batch_size, max_length=self.max_length)
        for rows, batch in prediction_batches(ids, None, columns, **options):
            found = (np.asarray(output) for output in self.outputs(batch))
            for row, row_heads, row_relations in zip(rows, *found):
                word_at = {piece: i + 1 for i, piece in enumerate(first_pieces[row]) if piece}
                heads[row] = [word_at.get(int(row_heads[piece]), 0) if piece else 0 for piece in first_pieces[row]]
                relations[row] = [self.relations[row_relations[piece]] for piece in first_pieces[row]]
        return heads, relations

    parse = predict  # an alias

    def evaluate(self, data: TreeData) -> Metrics:
        """TreeData -> uas and las, and KLUE's macro F1 of both (`tfkor.metrics.dependency_report`)."""
        heads, relations = self.predict(data.words, data.tags)
        number = {relation: i for i, relation in enumerate(self.relations)}
        flat = [
            [number.get(value, len(number)) if isinstance(value, str) else value for row in rows for value in row]
            for rows in (data.heads, data.relations, heads, relations)
        ]
        merged = {} if tuple(self.relations) == KLUE_DP_RELATIONS else {"merged": None}
        return dependency_report(*flat, **merged)


def pieces_of_words(words: Sequence[str], spans: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """The positions of the first and of the last piece of each word, from 1; 0 where a word has none."""
    first, last, begin = [0] * len(words), [0] * len(words), 0
    word_at = {}
    for i, word in enumerate(words):
        word_at |= dict.fromkeys(range(begin, begin + len(word)), i)
        begin += len(word) + 1
    for piece, (start, _) in enumerate(spans, 1):
        if (i := word_at.get(start)) is not None:
            first[i] = first[i] or piece
            last[i] = piece
    return first, last
