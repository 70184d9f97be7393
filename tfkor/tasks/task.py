"""Base of all tasks: training, saving and loading."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfkor.layers.inputs import Batch, Tensor
from tfkor.models.backbone import Backbone
from tfkor.models.lora import lora_layers, merge_lora
from tfkor.models.weights import named_weights
from tfkor.tasks import folder as folders
from tfkor.tasks.losses import CrossEntropy, Loss
from tfkor.text import Tokenizer
from tfkor.training import InferenceStep, compiles_each_shape, fine_tune

Metrics = dict[str, float]


class Task:
    """Base of the tasks: an encoder, a head on it, a tokenizer; texts in, objects out.

        task.fit(train, validation=dev)
        task.evaluate(test)
        task.predict(texts)
        task.save("runs/task")
        task = tfkor.load("runs/task")

    A task sets `model`, a keras.Model that holds `encoder`, by `set_model`; it names the arguments of `__init__` that
    `save` keeps (`settings`) and the metric that chooses the best epoch (`monitor`), and defines `prepare(train)`,
    `batches(data, batch_size, max_buckets, seed)`, `loss(batch, loss_function=None)`, `predict` and `evaluate(data)`.

    Attributes:
      loss_function: the loss of a row or a token, an object of `tfkor.tasks.losses`.
      outputs: a batch -> what the task predicts from, compiled.
    """

    settings: tuple[str, ...] = ()
    monitor = "f1"
    loss_function: Loss = CrossEntropy()

    def __init__(self, encoder: Backbone, tokenizer: Tokenizer | None, max_length: int):
        if max_length > encoder.max_length:
            raise ValueError(f"max_length is {max_length}; the encoder's position table holds {encoder.max_length}")
        check_vocabulary(encoder, tokenizer)
        self.encoder, self.tokenizer, self.max_length = encoder, tokenizer, max_length
        self.model: keras.Model | None = None
        self.outputs: Callable[[Batch], Any] | None = None

    # === Training ===

    def fit(
        self,
        train: Any,
        validation: Any = None,
        callbacks: Sequence[Any] = (),
        *,
        loss: Loss | None = None,
        label_smoothing: float = 0.0,
        epochs: int = 3,
        batch_size: int = 32,
        seed: int = 0,
        max_buckets: int | None = None,
        jit_compile: bool | None = None,
        **options: Any,
    ) -> list[Metrics]:
        """Trains, and keeps the weights of the epoch that is best on `validation`; returns the metrics of each epoch.

        Args:
          train, validation: data of the task; without `validation` all epochs are trained.
          callbacks: objects that are called during the training, with any of the methods on_step_end(step, metrics),
            on_epoch_end(epoch, metrics) and on_train_end.
          loss: instead of the task's `loss_function`, for this training.
          label_smoothing: the fraction of a label that is spread over all (Szegedy et al. 2016), where `loss` is None.
          max_buckets: lengths that batches are padded to; None takes 6 where each of them is compiled, else 32.
          options: of `tfkor.training.fine_tune`: learning_rate, warmup, ema, layer_decay, patience, on_best ...

        Ctrl-C ends the training and keeps the best weights so far. The same seed gives the same weights.
        """
        keras.utils.set_random_seed(seed)
        self.prepare(train)
        batches = self.batches(train, batch_size, buckets_of(max_buckets, jit_compile), seed)
        loss = CrossEntropy(label_smoothing) if loss is None and label_smoothing else loss
        step_loss = functools.partial(self.loss, loss_function=loss)
        return self.fit_batches(
            batches, step_loss, validation, callbacks, epochs=epochs, jit_compile=jit_compile, **options
        )

    def fit_batches(
        self,
        batches: Any,
        loss: Callable[[Batch], tuple[Tensor, Metrics]],
        validation: Any,
        callbacks: Sequence[Any],
        **options: Any,
    ) -> list[Metrics]:
        """Trains on batches, as `fit`; `loss(batch)` gives the loss and a dict of metrics."""
        evaluate = None if validation is None else lambda: self.evaluate(validation)
        return fine_tune(
            self.model,
            self.encoder,
            loss,
            batches,
            idle=self.idle_variables(),
            evaluate=evaluate,
            monitor=self.monitor,
            callbacks=callbacks,
            **options,
        )

    def idle_variables(self) -> Sequence[keras.Variable]:
        """Variables that the loss does not depend on: those of the pooler, in a task about tokens."""
        return self.encoder.pooler.variables

    # === What a task defines ===

    def prepare(self, train: Any) -> None:
        """Takes what the training data decide, labels for example, and makes the model if there is none."""

    def batches(self, data: Any, batch_size: int, max_buckets: int, seed: int) -> Any:
        """Data of the task -> `tfkor.data.Batches`."""
        raise NotImplementedError

    def loss(self, batch: Batch, loss_function: Loss | None = None) -> tuple[Tensor, Metrics]:
        """The loss of a batch, a scalar, and a dict of metrics."""
        raise NotImplementedError

    def predict(self, texts: Any) -> Any:
        """Texts in, objects out."""
        raise NotImplementedError

    def evaluate(self, data: Any) -> Metrics:
        """Data of the task -> its metrics."""
        raise NotImplementedError

    # === The model ===

    def set_model(self, model: keras.Model, outputs: Callable[[Batch], Any] | None = None) -> None:
        """Sets `model`, and `outputs`, the function of a batch to predict from; None: the model's outputs."""
        self.model = model
        self.outputs = InferenceStep(model, outputs or (lambda batch: model(batch, training=False)))

    def head_weights(self) -> dict[str, keras.Variable]:
        """{name: variable} of the model's weights outside the encoder."""
        encoder = {id(variable) for variable in self.encoder.variables}
        return {name: variable for name, variable in named_weights(self.model).items() if id(variable) not in encoder}

    def get_settings(self) -> dict[str, Any]:
        """The arguments of `__init__`, except encoder and tokenizer, that make this task again; JSON can hold them."""
        return {name: getattr(self, name) for name in self.settings}

    def merged(self) -> "Task":
        """This task, or, if its encoder has LoRA weights, a copy of it without them that computes the same."""
        if not lora_layers(self.encoder):
            return self
        task = type(self)(merge_lora(self.encoder), tokenizer=self.tokenizer, **self.get_settings())
        theirs = self.head_weights()
        for name, variable in task.head_weights().items():
            variable.assign(theirs[name])
        return task

    # === Folders ===

    def save(self, folder: str | os.PathLike, overwrite: bool = True) -> None:
        """Writes task.json, head.safetensors and encoder/ with the tokenizer into `folder`, whole or not at all.

        LoRA weights are merged into the encoder that is written, and are also written alone, into lora.npz.

        Raises:
          FileExistsError: the folder is there and `overwrite` is False.
          ValueError: a task without a head or a tokenizer.
        """
        folders.save_task(folder, self, overwrite)

    @classmethod
    def load(cls, folder: str | os.PathLike, dtype: str | None = None) -> "Task":
        """Returns the task that `save` wrote into `folder`, on either backend; `Task.load` takes any.

        Args:
          dtype: of the encoder: float32, mixed_bfloat16 or mixed_float16.

        Raises:
          FileNotFoundError: a part of it is not there.
          ValueError: it holds another task, or weights that are damaged or of other sizes.
        """
        task_class = folders.task_class_of(folder, expected=None if cls is Task else cls)
        return folders.load_task(folder, dtype, task_class)


def check_vocabulary(encoder: Backbone, tokenizer: Tokenizer | None) -> None:
    """ValueError for a tokenizer without [CLS], [SEP] or [PAD], or with ids that the encoder has no embedding of."""
    if tokenizer is None:
        return
    for role in ("pad", "cls", "sep"):
        tokenizer.template.required(role, "a task")
    if tokenizer.vocab_size > encoder.config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the encoder's vocab_size is "
            f"{encoder.config.vocab_size}; expected an encoder with as many or more"
        )


def buckets_of(max_buckets: int | None, jit_compile: bool | None) -> int:
    """The largest number of lengths that batches are padded to; small where each length is compiled."""
    return max_buckets or (6 if compiles_each_shape(jit_compile) else 32)
