"""Models of tasks: an encoder with a head, which Keras saves and loads (`model.save("model.keras")`)."""

from typing import Any

import keras

from tfkor.layers import activation_function
from tfkor.layers.inputs import Batch, Tensor, as_batch
from tfkor.layers.pooling import Pooling, get_pooling
from tfkor.models.backbone import Backbone
from tfkor.models.registry import NAMES, get_architecture

for name in NAMES:
    get_architecture(name)  # registers its class with Keras, for files of models that hold such an encoder


class TaskModel(keras.Model):
    """Base of these models: holds `encoder`. A subclass adds its own arguments to `get_config`."""

    def __init__(self, encoder: Backbone, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder

    def sequence_output(self, inputs: Batch | list[Tensor], training: bool = False) -> Tensor:
        """The encoder's vectors of the tokens [B, S, H]."""
        return self.encoder(as_batch(inputs), training=training, outputs=("sequence_output",))["sequence_output"]

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TaskModel":
        parts = {name: config[name] for name in ("encoder", "dtype")}
        return cls(**config | {name: keras.saving.deserialize_keras_object(part) for name, part in parts.items()})


@keras.saving.register_keras_serializable("tfkor")
class ClassificationModel(TaskModel):
    """A batch of the three inputs, int [B, S] -> logits float32 [B, C]: pooling, dropout and a dense layer.

    An ELECTRA that pools the first token has another dense layer before the last one, as in the authors' code.

    Args:
      encoder: a model of tfkor.
      num_classes: C.
      dropout: rate of the dropout on the pooled vectors, in training.
      pooling: "first", "max" or "mean", or an object of `tfkor.layers.pooling`.
    """

    def __init__(
        self, encoder: Backbone, num_classes: int, dropout: float = 0.2, pooling: str | Pooling = "first", **kwargs
    ):
        super().__init__(encoder, **kwargs)
        size = encoder.config.hidden_size
        self.pooling = get_pooling(pooling)
        self.head_dropout = keras.layers.Dropout(dropout, name="head_dropout")
        self.head_dense = None
        if self.reads_pooler and (act := encoder.classifier_act):
            act = activation_function(act)
            self.head_dense = keras.layers.Dense(size, activation=act, dtype="float32", name="head_dense")
            self.head_dense.build((None, size))
        self.head = keras.layers.Dense(num_classes, dtype="float32", name="logits")
        self.head.build((None, size))
        self.built = True

    @property
    def reads_pooler(self) -> bool:
        """Whether the head sees what the encoder's pooler gives."""
        return "pooled_output" in self.pooling.outputs

    def call(self, inputs: Batch | list[Tensor], training: bool = False) -> Tensor:
        batch = as_batch(inputs)
        outputs = self.encoder(batch, training=training, outputs=self.pooling.outputs)
        x = self.pooling(outputs, batch["input_mask"])  # [B, H]
        if self.head_dense is not None:
            x = self.head_dense(self.head_dropout(x, training=training))
        return self.head(self.head_dropout(x, training=training))  # [B, C]

    def get_config(self) -> dict[str, Any]:
        own = {"num_classes": self.head.units, "dropout": self.head_dropout.rate, "pooling": self.pooling.name}
        return super().get_config() | own
