"""Exports a text classifier for use elsewhere.

  python -m tfkor.scripts.export_model --model_dir=runs/intents --output_dir=runs/intents/exports
  python -m tfkor.scripts.export_model --model_dir=runs/intents --output_dir=exports --formats=strings,tflite_int8

Formats, and what they are called in --output_dir:

  encoder         encoder/                    SavedModel of the encoder alone, for hub.KerasLayer
  ids             ids/                        SavedModel from token ids to probabilities
  strings         strings/                    SavedModel from texts to label names; the tokenizer is inside
  tflite          classifier_float.tflite     TFLite from token ids to probabilities
  tflite_float16  classifier_float16.tflite   the same, half the size
  tflite_int8     classifier_int8.tflite      the same, a quarter of the size

The last line printed is one JSON object with the path, the bytes and the seconds of each.
"""

import functools
import time
from pathlib import Path

from absl import flags

from tfkor.scripts import run_program

FLAGS = flags.FLAGS

FORMATS = {
    "encoder": "encoder",
    "ids": "ids",
    "strings": "strings",
    "tflite": "classifier_float.tflite",
    "tflite_float16": "classifier_float16.tflite",
    "tflite_int8": "classifier_int8.tflite",
}


def define_flags():
    flags.DEFINE_string("model_dir", None, "Folder that run_classifier or TextClassifier.save wrote.", required=True)
    flags.DEFINE_string("output_dir", None, "Folder for the exports.", required=True)
    flags.DEFINE_list("formats", ["encoder", "ids", "strings"], f"Some of {','.join(FORMATS)}, with commas between.")
    flags.DEFINE_integer(
        "max_length", None, "Tokens of a row of strings and tflite; by default the length that the model has."
    )
    flags.DEFINE_integer("top_k", 3, "Labels that the model from strings returns for each text.", lower_bound=1)
    flags.DEFINE_bool("overwrite", False, "Replace exports that are in output_dir.")
    flags.register_validator(
        "formats", lambda names: bool(names) and set(names) <= set(FORMATS), f"expected some of {','.join(FORMATS)}"
    )


def exporters(classifier):
    """Format -> function of (path, overwrite)."""
    from tfkor import export

    length = FLAGS.max_length or classifier.max_length
    tflite = functools.partial(export.export_tflite, classifier, length=length)
    return {
        "encoder": functools.partial(export.export_encoder, classifier.encoder),
        "ids": functools.partial(export.export_classifier, classifier),
        "strings": functools.partial(export.export_string_classifier, classifier, top_k=FLAGS.top_k, max_length=length),
        "tflite": tflite,
        "tflite_float16": functools.partial(tflite, quantize="float16"),
        "tflite_int8": functools.partial(tflite, quantize="int8"),
    }


def size_of(path):
    """Bytes of a file, or of the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def job():
    paths = {name: Path(FLAGS.output_dir) / FORMATS[name] for name in FLAGS.formats}
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not FLAGS.overwrite:
        raise FileExistsError(f"--output_dir has {', '.join(there)} already; name another folder, or say --overwrite")
    from tfkor.tasks import TextClassifier

    classifier = TextClassifier.load(FLAGS.model_dir)
    functions, exports = exporters(classifier), {}
    for number, (name, path) in enumerate(paths.items(), 1):
        print(f"[{number}/{len(paths)}] {name} ...", end=" ", flush=True)
        start = time.monotonic()
        functions[name](path, overwrite=FLAGS.overwrite)
        seconds = round(time.monotonic() - start, 1)
        exports[name] = {"path": str(path), "bytes": size_of(path), "seconds": seconds}
        print(f"{path}: {exports[name]['bytes']:,} bytes in {seconds} s", flush=True)
    return {"model_dir": FLAGS.model_dir, "exports": exports}


if __name__ == "__main__":
    run_program(define_flags, job)
