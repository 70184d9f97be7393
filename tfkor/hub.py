"""hub.KerasLayer for Keras 3: a SavedModel as a layer that can be trained.

tensorflow_hub's KerasLayer is a layer of tf_keras and doesn't work in a model of Keras 3 (tensorflow/hub issue 903).
"""

import contextvars
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the operations of models that take strings

MOVED_TO = contextvars.ContextVar("MOVED_TO", default=None)  # the handle for layers that load_model is reading


@keras.saving.register_keras_serializable("tfkor")
class KerasLayer(keras.layers.Layer):
    """A SavedModel as a layer: what tfkor exports, and the TF2 models of tfhub.dev and Kaggle.

        bert_layer = tfkor.hub.KerasLayer("runs/quickstart/exports/encoder", trainable=True)
        pooled_output, sequence_output = bert_layer([input_word_ids, input_mask, segment_ids])

    Inputs and outputs are the SavedModel's: one tensor, a list or a dict. As in tensorflow_hub, `training` is passed on
    if the layer is trainable, so dropout is off in a frozen one.

    A `.keras` file contains the layer's weights and its handle, but not the graph, which is a program: the SavedModel
    must still be in its folder, or be found under the handle from the working directory. If it was moved, `load_model`
    takes the new folder.

    Args:
      handle: folder of a SavedModel, or the object that `tf.saved_model.load` returned, which can't be saved in a
        `.keras` file. `tensorflow_hub.resolve(url)` downloads a URL into a folder.
      trainable: whether to train the SavedModel's trainable variables.
      arguments: further arguments for the SavedModel.
      signature: name of the signature to call instead of the SavedModel itself; it takes a dict, and isn't trained.
      signature_outputs_as_dict: True to return all outputs of the signature.
      output_key: the output to return if the outputs are a dict.

    Raises:
      FileNotFoundError, ValueError: the handle is not a SavedModel, or has nothing to call.
    """

    def __init__(
        self,
        handle: str | os.PathLike | Any,
        trainable: bool = False,
        arguments: dict[str, Any] | None = None,
        signature: str | None = None,
        signature_outputs_as_dict: bool | None = None,
        output_key: str | None = None,
        **kwargs: Any,
    ):
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(f"KerasLayer needs KERAS_BACKEND=tensorflow; found {keras.backend.backend()}")
        if signature and trainable:
            raise ValueError("trainable=True and a signature; expected one of them, as a signature can't be trained")
        if bool(signature_outputs_as_dict) != bool(signature and output_key is None):
            raise ValueError("a signature needs signature_outputs_as_dict=True or output_key, the first a signature")
        super().__init__(autocast=False, **kwargs)  # the types of a SavedModel are fixed
        self.handle = os.fspath(handle) if isinstance(handle, (str, os.PathLike)) else None
        self.arguments = dict(arguments or {})
        self.signature = signature
        self.signature_outputs_as_dict = signature_outputs_as_dict
        self.output_key = output_key
        self.resolved_object = handle if self.handle is None else load_saved_model(self.handle)
        self.function = function_of(self.resolved_object, signature, self.handle or "the handle")
        traces = getattr(self.function, "concrete_functions", [self.function])
        self.takes_training = not signature and "training" in arguments_of(self.function)
        self.supports_jit = not any(takes_strings(trace) for trace in traces)
        self.loaded_variables = as_keras_variables(self.resolved_object, traces)
        self.trainable = trainable  # must come after loaded_variables, or it would not freeze them
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        arguments = {"training": bool(training and self.trainable)} if self.takes_training else {}
        arguments |= self.arguments
        if self.signature and isinstance(inputs, dict):
            outputs = self.function(**inputs, **arguments)
        else:
            outputs = self.function(list(inputs) if isinstance(inputs, tuple) else inputs, **arguments)
        if self.trainable:
            for loss in getattr(self.resolved_object, "regularization_losses", ()):
                self.add_loss(loss())
        if self.output_key is None:
            return outputs
        if not isinstance(outputs, dict) or self.output_key not in outputs:
            found = sorted(outputs) if isinstance(outputs, dict) else f"no dict, but {type(outputs).__name__}"
            raise ValueError(f"output_key is {self.output_key!r}; the outputs of the SavedModel are {found}")
        return outputs[self.output_key]

    def get_config(self) -> dict[str, Any]:
        if self.handle is None:
            raise ValueError(f"{self.name} was made from an object; only a layer whose handle is a folder can be saved")
        return {
            **super().get_config(),
            "handle": self.handle,
            "folder": os.path.abspath(self.handle),
            "arguments": self.arguments,
            "signature": self.signature,
            "signature_outputs_as_dict": self.signature_outputs_as_dict,
            "output_key": self.output_key,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KerasLayer":
        config = dict(config)
        folders = [config.pop("folder"), config["handle"]]
        if MOVED_TO.get():
            folders = [MOVED_TO.get()]
        elif not any(map(os.path.isdir, folders)):
            raise FileNotFoundError(
                f"{folders[0]}: no such folder; expected the SavedModel of the layer {config['name']!r}: put it back, "
                "or load with tfkor.hub.load_model(path, handle)"
            )
        return cls(**{**config, "handle": next(filter(os.path.isdir, folders), folders[0])})


def load_model(path: str | os.PathLike, handle: str | os.PathLike, **options: Any) -> keras.Model:
    """`keras.models.load_model(path, **options)` for a model whose KerasLayer has its SavedModel in `handle` now."""
    token = MOVED_TO.set(os.fspath(handle))
    try:
        return keras.models.load_model(path, **options)
    finally:
        MOVED_TO.reset(token)


def load_saved_model(folder: str) -> Any:
    """tf.saved_model.load.

    Raises:
      FileNotFoundError, ValueError: `folder` isn't there, is no SavedModel, or a damaged one.
    """
    expected = "expected the folder of a SavedModel, with saved_model.pb and variables/ in it"
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder}: {'a file' if os.path.exists(folder) else 'no such folder'}; {expected}")
    names = sorted(os.listdir(folder))
    if "saved_model.pb" not in names and "saved_model.pbtxt" not in names:
        found = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "") if names else "nothing"
        raise ValueError(f"{folder} holds {found}; {expected}")
    try:
        return tf.saved_model.load(folder)
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ValueError(f"{folder}: TensorFlow can't load this SavedModel ({error}); export it again") from error


def function_of(loaded: Any, signature: str | None, source: str) -> Callable:
    """The function of a SavedModel to call; `source` names it in errors."""
    signatures = dict(getattr(loaded, "signatures", {}))
    if signature is None and callable(loaded):
        return loaded.__call__
    if signature in signatures:
        return signatures[signature]
    found = f"no signature {signature!r}" if signature else "a SavedModel that can't be called itself"
    raise ValueError(f"{source}: {found}; give one of its signatures: signature={sorted(signatures)}")


def arguments_of(function: Callable) -> list[str]:
    spec = inspect.getfullargspec(function)
    return spec.args + spec.kwonlyargs


def takes_strings(trace: Any) -> bool:
    specs = tf.nest.flatten(trace.structured_input_signature)
    return any(isinstance(spec, tf.TensorSpec) and spec.dtype == tf.string for spec in specs)


def as_keras_variables(loaded: Any, traces: Sequence[Any]) -> list[keras.Variable]:
    """Keras variables that wrap the SavedModel's; those it doesn't list (a tf.Module) are found in its functions."""
    used = {id(v): v for trace in traces for v in trace.variables}
    trainable = {id(v) for v in getattr(loaded, "trainable_variables", [v for v in used.values() if v.trainable])}
    variables = {id(v): v for v in getattr(loaded, "variables", used.values())}
    return [
        keras.Variable(
            v,
            trainable=key in trainable,
            dtype=v.dtype.name,
            shape=v.shape,
            name=v.name.split(":")[0].replace("/", "_"),
        )
        for key, v in variables.items()
    ]
