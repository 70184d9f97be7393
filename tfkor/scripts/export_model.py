"""Exports a model that run_classifier, run_tagger, run_qa or another fine-tuning program wrote.

  python -m tfkor.scripts.export_model --model_dir=runs/intents --output_dir=runs/intents/exports
  python -m tfkor.scripts.export_model --model_dir=runs/intents --output_dir=exports --formats=strings,tflite_int8

Formats, and their names in --output_dir:

  encoder         encoder/                    SavedModel of the encoder alone, for hub.KerasLayer
  ids             ids/                        SavedModel from token ids to probabilities
  strings         strings/                    SavedModel from texts to label names; the tokenizer is inside
  tflite          classifier_float.tflite     TFLite from token ids to probabilities
  tflite_float16  classifier_float16.tflite   the same, half the size
  tflite_int8     classifier_int8.tflite      the same, a quarter of the size

Classifiers have all formats; so have relation extractors, which take sentences whose entities are marked by
tfkor.data.relations.mark_entities. Taggers and question answering models have encoder and strings: from texts to tags
and entities, from questions and contexts to answers, each with its character offsets. Parsers and dialogue trackers
have encoder only.

The last line printed is one JSON object with the path, the size in bytes and the seconds of each export.
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
SAVED_MODELS = ("encoder", "ids", "strings")


def define_flags():
    flags.DEFINE_string("model_dir", None, "Folder of a fine-tuned model, as Task.save writes it.", required=True)
    flags.DEFINE_string("output_dir", None, "Folder for the exports.", required=True)
    flags.DEFINE_list(
        "formats", None, f"Some of {','.join(FORMATS)}, separated by commas; by default all SavedModels."
    )
    flags.DEFINE_integer(
        "max_length", None, "Longest input of strings and tflite, in tokens; by default the model's own."
    )
    flags.DEFINE_integer("top_k", 3, "Number of labels that the strings model returns per text.", lower_bound=1)
    flags.DEFINE_bool("overwrite", False, "Replace exports that are already in --output_dir.")
    flags.register_validator(
        "formats",
        lambda names: names is None or (bool(names) and set(names) <= set(FORMATS)),
        f"expected some of {','.join(FORMATS)}",
    )


def exporters(task):
    """{format: function of (path, overwrite)} of the formats that a task has."""
    from tfkor import export, tasks

    encoder = {"encoder": functools.partial(export.export_encoder, task.encoder)}
    strings = {tasks.TokenTagger: export.export_string_tagger, tasks.QuestionAnswerer: export.export_string_answerer}
    if type(task) in strings:
        return {**encoder, "strings": functools.partial(strings[type(task)], task)}
    if isinstance(task, tasks.RelationExtractor):
        task = task.classifier
    if not isinstance(task, tasks.TextClassifier):
        return encoder
    length = FLAGS.max_length or task.max_length
    tflite = functools.partial(export.export_tflite, task, length=length)
    return {
        **encoder,
        "ids": functools.partial(export.export_classifier, task),
        "strings": functools.partial(export.export_string_classifier, task, top_k=FLAGS.top_k, max_length=length),
        "tflite": tflite,
        "tflite_float16": functools.partial(tflite, quantize="float16"),
        "tflite_int8": functools.partial(tflite, quantize="int8"),
    }


def size_of(path):
    """Bytes of a file, or of the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def job():
    from tfkor.tasks import Task

    task = Task.load(FLAGS.model_dir)
    functions, exports = exporters(task), {}
    names = FLAGS.formats or [name for name in SAVED_MODELS if name in functions]
    if missing := [name for name in names if name not in functions]:
        kind = type(task).__name__
        raise ValueError(f"--formats={missing[0]}: a {kind} has no such export; expected some of {','.join(functions)}")
    paths = {name: Path(FLAGS.output_dir) / FORMATS[name] for name in names}
    there = [str(path) for path in paths.values() if path.exists()]
    if there and not FLAGS.overwrite:
        raise FileExistsError(f"--output_dir has {', '.join(there)} already; expected another folder, or --overwrite")
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
