"""Encoders: `save` writes one with its tokenizer into a folder, `load` reads it, or a published one by its name, and
`known_checkpoints` lists the published ones that know Korean."""

from pathlib import Path

from tfkor.files import new_folder, write_json
from tfkor.known import known_checkpoints

ARCHITECTURES = ("Bert", "Albert", "Roberta", "Electra")
NAMES = tuple(name.lower() for name in ARCHITECTURES)  # as programs take them
CONFIG, WEIGHTS, TOKENIZER = "config.json", "encoder.weights.h5", "tokenizer"
HALF = "encoder.float16.npz"
HEADS = "heads.npz"
KINDS = ("MaskedLmHead", "PairHead", "DiscriminatorHead")  # of tfkor.layers, that HEADS may hold
PUBLISHED = ("lowercase", "nfc", "revision", "generator")  # options of published checkpoints
RUN = "encoder"  # the folder of a run of run_pretraining that `save` wrote


def save(folder, encoder, tokenizer=None, overwrite=False, half=False, heads=()):
    """Writes config.json, encoder.weights.h5 and tokenizer/ into `folder`, whole or not at all.

    With `half` the weights go into encoder.float16.npz instead, which is half as large; `load` makes float32 of it.
    LoRA weights are added to the kernels. `heads`, those of a pretraining, go into heads.npz, for who trains on; `load`
    doesn't need them.
    """
    from tfkor.training.lora import merge_lora

    with new_folder(folder, overwrite) as temporary:
        write_json(temporary / CONFIG, {"architecture": type(encoder).__name__, **encoder.config.to_dict()})
        if half:
            write_half(temporary / HALF, merge_lora(encoder))
        else:
            encoder.save_weights(temporary / WEIGHTS)
        if heads:
            write_heads(temporary / HEADS, heads)
        if tokenizer is not None:
            tokenizer.save(temporary / TOKENIZER)


def load(source, dtype=None, **changes):
    """Returns (encoder, tokenizer or None), on either backend.

    Args:
      source: a folder that `save` or run_pretraining wrote, one of Hugging Face transformers or google-research, or a
        name on the Hugging Face hub (`known_checkpoints` lists those of Korean).
      dtype: float32, mixed_bfloat16 or mixed_float16.
      changes: fields of the config that do not change the weights' shapes, hidden_dropout_prob for example; and of a
        published checkpoint the options of `load_pretrained`.

    Raises:
      FileNotFoundError: a part of it is not there.
      ValueError: config.json names no architecture of tfkor, or the weights are of other sizes.
    """
    found = load_with_heads(source, dtype, **changes)
    return found.encoder, found.tokenizer


def known_options(source):
    """The options of `load` that make a published checkpoint exact, {} of what is not known by name."""
    known = {} if Path(source).exists() else known_checkpoints()
    return known[str(source)].options if str(source) in known else {}


def is_own(folder):
    """Whether `save` or run_pretraining wrote a folder."""
    from tfkor.interop.configs import read_config

    config = Path(folder) / CONFIG
    return (Path(folder) / RUN / CONFIG).is_file() or (config.is_file() and "architecture" in read_config(config))


def load_with_heads(source, dtype=None, **changes):
    """As `load`, but returns a tfkor.interop.Pretrained: encoder, tokenizer, and heads, {class name: layer}."""
    from tfkor.interop import Pretrained, load_pretrained
    from tfkor.interop.configs import read_config
    from tfkor.text import Tokenizer

    folder = Path(source)
    if (folder / RUN / CONFIG).is_file():
        folder = folder / RUN
    config = read_config(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    if "architecture" not in config:
        return load_pretrained(folder, dtype=dtype, **changes)
    if wrong := [name for name in PUBLISHED if changes.get(name) is not None]:
        raise ValueError(f"{folder}: {wrong[0]} is {changes[wrong[0]]!r}; expected it with published checkpoints alone")
    half = (folder / HALF).is_file()
    if not half and not (folder / WEIGHTS).is_file():
        raise FileNotFoundError(f"{folder} has no {WEIGHTS}; expected a folder that tfkor.zoo.save wrote")
    encoder_class, config_class = architecture(config.pop("architecture", None), folder / CONFIG)
    encoder = encoder_class(config_class(**{**config, **changes}), dtype=dtype)
    if half:
        read_half(folder / HALF, encoder)
    else:
        encoder.load_weights(folder / WEIGHTS)
    tokenizer = Tokenizer.load(folder / TOKENIZER) if (folder / TOKENIZER).is_dir() else None
    heads = read_heads(folder / HEADS, encoder) if (folder / HEADS).is_file() else {}
    return Pretrained(encoder, tokenizer, heads)


def write_half(path, encoder):
    import numpy as np
    from keras import ops

    with np.errstate(over="ignore"):  # told below
        weights = [ops.convert_to_numpy(variable).astype("float16") for variable in encoder.trainable_variables]
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError(f"{path}: a weight is too large for float16; expected half=False")
    np.savez(path, *weights)


def read_half(path, encoder):
    import numpy as np

    with np.load(path) as weights:
        found = [weights[name] for name in weights.files]
    variables = encoder.trainable_variables
    if [weight.shape for weight in found] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{path}: its {len(found)} weights are not those of {type(encoder).__name__} in {CONFIG}")
    for variable, weight in zip(variables, found):
        variable.assign(weight.astype("float32"))


def write_heads(path, heads):
    """Arrays under class.name.number: the number of the weight, the name of the layer, which tells NSP from SOP."""
    import numpy as np
    from keras import ops

    weights = {
        f"{type(head).__name__}.{head.name}.{i}": ops.convert_to_numpy(variable)
        for head in heads
        for i, variable in enumerate(head.variables)
    }
    np.savez(path, **weights)


def read_heads(path, encoder):
    import numpy as np

    from tfkor import layers

    with np.load(path) as arrays:
        weights = {name: arrays[name] for name in arrays.files}
    heads = {}
    for kind, name in dict.fromkeys(tuple(key.split(".")[:2]) for key in weights):
        if kind not in KINDS:
            raise ValueError(f"{path}: a head of the kind {kind!r}; expected one of {', '.join(KINDS)}")
        heads[kind] = getattr(layers, kind).of(encoder, name=name)
        for i, variable in enumerate(heads[kind].variables):
            found = weights.get(f"{kind}.{name}.{i}")
            if found is None or found.shape != tuple(variable.shape):
                shape = "nothing" if found is None else found.shape
                raise ValueError(f"{path}: weight {i} of {name} is {shape}; expected {tuple(variable.shape)}")
            variable.assign(found)
    return heads


def with_symbols(encoder, tokenizer, symbols):
    """Returns an encoder and a WordPiece tokenizer that know `symbols`, strings that are one piece wherever they stand.

    Those that the vocabulary does not hold are added to its end; their embeddings are drawn at random. All other
    weights are those of `encoder`, copied.

    Raises:
      ValueError: a tokenizer of another kind, or an encoder with LoRA weights, which are added after this.
    """
    from keras import ops

    from tfkor.text import Tokenizer
    from tfkor.training.lora import lora_layers

    if lora_layers(encoder):
        raise ValueError("the encoder has LoRA weights; expected one without: add them after the symbols")
    if tokenizer.type != "wordpiece":
        raise ValueError(f"the tokenizer is {tokenizer.type}; expected wordpiece, to which symbols can be added")
    new = [symbol for symbol in symbols if symbol not in tokenizer.vocab]
    options = {name: value for name, value in tokenizer.config.items() if name not in ("type", "user_symbols")}
    vocab, known = [*tokenizer.vocab, *new], [*tokenizer.user_symbols, *symbols]
    larger = Tokenizer.from_vocab(vocab, user_symbols=tuple(dict.fromkeys(known)), **options)
    size = max(encoder.config.vocab_size, larger.vocab_size)
    again = type(encoder)(
        type(encoder.config)(**{**encoder.config.to_dict(), "vocab_size": size}), dtype=encoder.dtype_policy
    )
    for ours, theirs in zip(again.trainable_variables, encoder.trainable_variables, strict=True):
        if ours is again.word_embeddings:
            theirs = ops.concatenate([theirs, ours[theirs.shape[0] :]])
        ours.assign(theirs)
    return again, larger


def architecture(name, source="name"):
    """ "Bert" or "bert" -> (Bert, BertConfig).

    Raises:
      ValueError: tfkor has no such architecture; `source` is named in the message.
    """
    from tfkor import models

    found = dict(zip(NAMES, ARCHITECTURES, strict=True)).get(str(name).lower())
    if found is None:
        raise ValueError(f"{source}: the architecture is {name!r}; expected one of {ARCHITECTURES}")
    return getattr(models, found), getattr(models, found + "Config")
