"""SavedModels: an encoder, a classifier from ids and a classifier from strings.

The root object is a `tf.train.Checkpoint` with the attributes of the TF2 hub format: `__call__`, `variables`,
`trainable_variables`, `regularization_losses` (www.tensorflow.org/hub/reusable_saved_models).
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from tfkor.export.common import SCORE_NAMES, checked_classifier, float32_compute, new_saved_model
from tfkor.layers.inputs import INPUT_NAMES, three_inputs
from tfkor.models.backbone import Backbone
from tfkor.models.lora import merge_lora
from tfkor.tasks.classifier import TextClassifier

HUB_NAMES = ("input_word_ids", "input_mask", "input_type_ids")


def export_encoder(encoder: Backbone, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Writes an encoder as a SavedModel that hub.KerasLayer and tfkor.hub.KerasLayer call and train.

    A list [input_word_ids, input_mask, segment_ids], int32 [B, S], gives (pooled_output [B, H], sequence_output
    [B, S, H]). A dict of these (or with input_type_ids for segment_ids) gives a dict: pooled_output, sequence_output,
    default (the pooled output) and encoder_outputs (the L blocks' outputs [B, S, H]). `training=True` turns dropout on.
    The signature `serving_default` has the names of the dict. It computes in float32.

    Args:
      overwrite: replace the SavedModel at `path`, once the new one is whole.

    Returns:
      The path.

    Raises:
      FileExistsError: there is something at `path`.
      PermissionError: nothing can be written there.
    """
    encoder = merge_lora(encoder)
    with new_saved_model(path, overwrite) as folder, float32_compute(encoder):

        def compute(word_ids, mask, segment_ids, training):
            ids = (checked(word_ids, encoder), mask, segment_ids)
            names = ("pooled_output", "sequence_output", "hidden_states")
            outputs = encoder(dict(zip(INPUT_NAMES, ids)), training=training, outputs=names)
            blocks = list(outputs.pop("hidden_states")[1:])
            return {**outputs, "default": outputs["pooled_output"], "encoder_outputs": blocks}

        call = trace(compute, for_list=lambda outputs: (outputs["pooled_output"], outputs["sequence_output"]))

        @tf.function(input_signature=specs(INPUT_NAMES))
        def serve(input_word_ids, input_mask, segment_ids):
            pooled_output, sequence_output = call([input_word_ids, input_mask, segment_ids])
            return {"pooled_output": pooled_output, "sequence_output": sequence_output}

        save(folder, call, encoder, {"serving_default": serve})
    return Path(path)


def export_classifier(classifier: TextClassifier, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Writes a TextClassifier as a SavedModel from ids to probabilities.

    A list or dict of the three inputs, int32 [B, S], gives probabilities float32 [B, C]; of a regression the numbers
    [B, 1]. It can be trained further, by hub.KerasLayer too. The signature `serving_default` gives {"probabilities"}
    (regression: {"values"}), the signature `label_names` takes nothing and gives {"labels": string [C]}.

    Arguments, result and errors are those of `export_encoder`.
    """
    classifier = checked_classifier(classifier)
    name = SCORE_NAMES[classifier.activation]
    with new_saved_model(path, overwrite) as folder, float32_compute(classifier.model):
        call = trace(scores_of(classifier))

        @tf.function(input_signature=specs(INPUT_NAMES))
        def serve(input_word_ids, input_mask, segment_ids):
            return {name: call([input_word_ids, input_mask, segment_ids])}

        signatures = {"serving_default": serve}
        if classifier.labels is not None:
            signatures["label_names"] = label_names(classifier.labels)
        save(folder, call, classifier.model, signatures)
    return Path(path)


def export_string_classifier(
    classifier: TextClassifier,
    path: str | os.PathLike,
    top_k: int = 3,
    max_length: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a TextClassifier with its tokenizer as a SavedModel from raw text to labels.

    To load it you need tensorflow and `import tensorflow_text`, not tfkor:

        model = tf.saved_model.load(path)
        answer = model.signatures["serving_default"](text=tf.constant(["내일 비 와?"]))

    text, string [B] (and pair, string [B], for a classifier of pairs) gives a dict: probabilities float32 [B, C],
    labels string [B, k] (the likeliest first), top_probabilities float32 [B, k] and, if the classifier was calibrated,
    is_none bool [B] (the text is none of these). A regression gives {"values": float32 [B, 1]}. The object itself is
    called with text, [text, pair], or a dict of them. The signature `label_names` takes nothing and gives
    {"labels": string [C]}. It is for prediction, not for training: no variable is trainable.

    Args:
      top_k: k; all labels, if there are fewer.
      max_length: longer rows are truncated; None takes the classifier's.
      overwrite: replace the SavedModel at `path`, once the new one is whole.

    Raises:
      FileExistsError, PermissionError: as `export_encoder`.
      ValueError: the classifier has no head, no tokenizer or no label names; `top_k` or `max_length` is out of range.
    """
    from tfkor.text import GraphTokenizer

    classifier = checked_classifier(classifier)
    for name, value in (("tokenizer", classifier.tokenizer), ("label names", classifier.labels)):
        if value is None and not (name == "label names" and classifier.activation == "linear"):
            raise ValueError(f"the classifier has no {name}; an export that takes strings needs them")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; expected at least 1")
    max_length, limit = max_length or classifier.max_length, classifier.encoder.max_length
    if max_length > limit:
        raise ValueError(f"max_length is {max_length}; the encoder's position table holds {limit}")
    with new_saved_model(path, overwrite) as folder, float32_compute(classifier.model):
        splits = classifier.tokenizer.normalizer.morphemes is not None
        tokenizer = GraphTokenizer(classifier.tokenizer, max_length, pre_split=splits)
        scores = scores_of(classifier)
        names = ("text", "pair") if classifier.is_pair else ("text",)

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name=name) for name in names])
        def serve(text, pair=None):
            ids = tokenizer(text, pair)
            shape = tf.maximum(tf.shape(ids["input_mask"]), [0, 1])  # no texts at all: [0, 0] -> [0, 1]
            ids = [tf.reshape(ids[name], shape) for name in INPUT_NAMES]
            return answer(scores(*ids, training=False), classifier, top_k)

        signatures = {"serving_default": serve}
        if classifier.labels is not None:
            signatures["label_names"] = label_names(classifier.labels)
        call = call_of_strings(serve, names)
        save(folder, call, classifier.model, signatures, trainable=False, tokenizer=tokenizer)
    return Path(path)


def call_of_strings(serve: Callable, names: Sequence[str]) -> Callable:
    """A tf.function of a list or a dict of strings [B] with these names; with one name, of the tensor alone too."""
    specs = [tf.TensorSpec((None,), tf.string, name=name) for name in names]

    @tf.function
    def call(inputs):
        if isinstance(inputs, dict):
            inputs = [inputs[name] for name in names]
        return serve(*inputs) if isinstance(inputs, list) else serve(inputs)

    for inputs in ([*specs], dict(zip(names, specs)), *(specs if len(specs) == 1 else ())):
        call.get_concrete_function(inputs)
    return call


def scores_of(classifier: TextClassifier) -> Callable:
    """Returns compute(input_word_ids, input_mask, segment_ids, training) -> probabilities or numbers [B, C]."""

    def compute(word_ids, mask, segment_ids, training):
        ids = (checked(word_ids, classifier.encoder), mask, segment_ids)
        return classifier.activate(classifier.logits(dict(zip(INPUT_NAMES, ids)), training=training))

    return compute


def answer(scores: tf.Tensor, classifier: TextClassifier, top_k: int) -> dict[str, tf.Tensor]:
    """Scores [B, C] -> the dict that the string model gives."""
    if classifier.activation == "linear":
        return {"values": scores}
    likeliest, indices = tf.math.top_k(scores, min(top_k, len(classifier.labels)))
    labels = tf.gather(tf.constant(classifier.labels), indices)
    outputs = {"probabilities": scores, "labels": labels, "top_probabilities": likeliest}
    if classifier.none_threshold is not None:
        outputs["is_none"] = likeliest[:, 0] < classifier.none_threshold
    return outputs


def label_names(labels: Sequence[str]) -> Callable:
    """A signature without inputs that gives all label names in the order of the probabilities."""

    @tf.function(input_signature=[])
    def names():
        return {"labels": tf.constant(labels)}

    return names


def trace(compute: Callable, for_list: Callable = lambda outputs: outputs) -> Callable:
    """compute(three int [B, S], training) -> a tf.function(list or dict, training), traced for each way to call it."""
    compute = tf.function(compute)  # traced once for each value of training, called from six small functions

    @tf.function
    def call(inputs, training=False):
        outputs = compute(*three_inputs(inputs), training=training)
        return outputs if isinstance(inputs, dict) else for_list(outputs)

    for training in (False, True):
        call.get_concrete_function(specs(INPUT_NAMES), training=training)
        for names in (INPUT_NAMES, HUB_NAMES):
            call.get_concrete_function(dict(zip(names, specs(names))), training=training)
    return call


def specs(names: Sequence[str]) -> list[tf.TensorSpec]:
    return [tf.TensorSpec((None, None), tf.int32, name=name) for name in names]


def checked(word_ids: tf.Tensor, encoder: Backbone) -> tf.Tensor:
    """Returns word_ids, with checks in the graph: rows fit into the position table, and ids are in the vocabulary."""
    limit, tokens = encoder.max_length, encoder.config.vocab_size
    too_long = f"rows have more tokens than the position table, which holds {limit}: truncate them"
    outside = f"input_word_ids outside the vocabulary: expected 0 to {tokens - 1}"
    checks = [
        tf.debugging.assert_less_equal(tf.shape(word_ids)[1], limit, too_long),
        tf.debugging.assert_non_negative(tf.reduce_min(word_ids), outside),
        tf.debugging.assert_less(tf.reduce_max(word_ids), tokens, outside),
    ]
    with tf.control_dependencies(checks):  # before the lookup, which reads zeros on a GPU
        return tf.identity(word_ids)


def save(
    folder: Path,
    call: Callable,
    model: keras.Model,
    signatures: dict[str, Callable],
    trainable: bool = True,
    tokenizer: tf.Module | None = None,
) -> None:
    """Writes a SavedModel with the attributes of the TF2 hub format."""
    root = tf.train.Checkpoint()  # a tf.Module instead would load with no trainable variables
    root.__call__ = call
    root.variables = [v.value for v in model.variables]
    root.trainable_variables = [v.value for v in model.trainable_variables] if trainable else []
    root.regularization_losses = []
    if tokenizer is not None:
        root.tokenizer = tokenizer  # a sentencepiece model is a resource, which the root has to own
    tf.saved_model.save(root, str(folder), signatures)
