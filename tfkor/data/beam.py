"""Text to shards on Apache Beam, for corpora that outgrow one machine: the same documents, in any number of shards.

  files -> blocks of documents -> lines to drop, by their hashes -> token ids -> shards

Files may be anywhere that Beam's file systems reach (gs://, s3://, hdfs://, a local folder). What counts as a duplicate
is defined in tfkor/data/duplicates.py. `make_shards` does the same on one machine; only the division of the corpus into
shards differs, since here a block never spans two files.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfkor.data import duplicates, sentences
from tfkor.data.corpus import form_of, read_blocks, read_lines
from tfkor.data.encoding import ShardRecipe, encode_lines
from tfkor.data.shards import COUNTS, MANIFEST, join_shards, make_manifest, shard_bytes, shard_entry, shard_name
from tfkor.data.text_data import DataError


def make_shards_with_beam(
    inputs: Sequence[str],
    tokenizer_folder: str,
    output_dir: str,
    recipe: ShardRecipe | None = None,
    shards: int = 16,
    options: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs the pipeline and waits for its end.

    Args:
      inputs: files, glob patterns, or folders, as Beam's file systems name them; of a folder the .txt, .jsonl and
        .ndjson files (also with .gz) in it are read.
      tokenizer_folder: a local folder that Tokenizer.save wrote.
      output_dir: a folder without a manifest.json.
      recipe: ShardRecipe, or None for the defaults.
      shards: the largest number of shards to write.
      options: Beam's pipeline options, for example ["--runner=DirectRunner"].

    Returns:
      dict: the counts of documents, sentences, tokens and shards, and output_dir.

    Raises:
      ValueError: apache_beam is not installed.
      DataError: no such file, no text, or shards that are there already.
      ChildProcessError: the pipeline failed; the message has the worker's error.
    """
    beam = _beam()
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    from tfkor.text import Tokenizer

    recipe = recipe or ShardRecipe()
    sentences.sentence_splitter(recipe.split_sentences)
    tokenizer = Tokenizer.load(tokenizer_folder)
    files = _files(inputs)
    manifest_path = FileSystems.join(str(output_dir), MANIFEST)
    if FileSystems.exists(manifest_path):
        raise DataError(f"{output_dir}: there are shards already; name a new folder, or delete this one")
    if not FileSystems.exists(str(output_dir)):
        FileSystems.mkdirs(str(output_dir))
    _delete(_entry_path(output_dir, "*"))  # of a run that was stopped

    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    blocks = (
        pipeline
        | "Files" >> beam.Create(list(enumerate(files)))
        | "Spread files" >> beam.Reshuffle()
        | "Blocks" >> beam.FlatMap(_blocks, recipe)
        | "Spread blocks" >> beam.Reshuffle()
    )
    entries = _to_shards(blocks, recipe, tokenizer, shards, str(output_dir))
    _ = entries | "Entries" >> beam.Map(_write_entry, str(output_dir))
    try:
        pipeline.run().wait_until_finish()
    except RuntimeError as error:  # Beam wraps what a worker raised
        raise ChildProcessError(f"the pipeline failed: {error}") from error

    found = [_read_json(f.path) for f in FileSystems.match([_entry_path(output_dir, "*")])[0].metadata_list]
    if not found:
        raise DataError(f"{', '.join(files[:3])}: no text that gives a token; expected lines of text")
    found.sort(key=lambda entry: entry["file"])
    manifest = make_manifest(tokenizer, found)
    for path in (vocabulary := _saved(tokenizer)):
        _write(FileSystems.join(str(output_dir), "tokenizer", path), vocabulary[path])
    _write(manifest_path, json.dumps(manifest, ensure_ascii=False, indent=2).encode() + b"\n")
    _delete(_entry_path(output_dir, "*"))
    return {**{name: manifest[name] for name in COUNTS}, "shards": len(found), "output_dir": str(output_dir)}


def _beam():
    try:
        import apache_beam
    except ImportError:
        raise ValueError('make_shards_with_beam needs Apache Beam: pip install "tfkor[beam]"') from None
    return apache_beam


def _to_shards(blocks, recipe, tokenizer, shards, output_dir):
    """PCollection of (block id, Block) -> PCollection of the manifest's entries."""
    beam = _beam()
    tagged = {"block": blocks}
    if recipe.duplicates != "none":
        tagged["dropped"] = _find_duplicates(blocks, recipe)
    return (
        tagged
        | "Join" >> beam.CoGroupByKey()
        | "Encode" >> beam.ParDo(_encoder(recipe, tokenizer))
        | "Choose shard" >> beam.Map(lambda item: (_shard_of(item[0], shards), item))
        | "Group" >> beam.GroupByKey()
        | "Write" >> beam.FlatMap(_write_shard, tokenizer.vocab_size, output_dir)
    )


def _encoder(recipe, tokenizer):
    """DoFn: (block id, {"block": [Block], "dropped": [line, ...]}) -> (block id, Shard); see _blocks."""
    beam = _beam()

    class Encode(beam.DoFn):
        def setup(self):
            self.split = sentences.sentence_splitter(recipe.split_sentences)

        def process(self, item):
            block_id, found = item
            for block in found["block"]:
                dropped = np.array(sorted(set(found.get("dropped", ()))), np.int64)
                shard = encode_lines(read_lines(block, recipe.text_column), tokenizer, self.split, dropped)
                if len(shard.tokens):
                    yield block_id, shard

    return Encode()


def _find_duplicates(blocks, recipe):
    """PCollection of (block id, Block) -> PCollection of (block id, line to drop), as `DuplicateFinder` drops them."""
    beam = _beam()
    groups = blocks | "Hash" >> beam.FlatMap(_keyed_lines, recipe) | "Same key" >> beam.GroupByKey()
    repeated = groups | "Repeated" >> beam.FlatMap(lambda item: _but_first(item[1]))
    if recipe.duplicates == "exact":
        return repeated
    near = (
        groups
        | "First of each" >> beam.Map(lambda item: min(item[1]))
        | "Bands" >> beam.FlatMap(_banded)
        | "Same band" >> beam.GroupByKey()
        | "Compare" >> beam.FlatMap(lambda item: _near(item[1]))
    )
    return (repeated, near) | "All" >> beam.Flatten()


def _blocks(numbered, recipe):
    """Yields (block id, Block); the id is (file number, block number), which sorts blocks as the corpus has them."""
    number, path = numbered
    for block in read_blocks([path], recipe.block_bytes, _open):
        yield (number, block.number), block


def _keyed_lines(item, recipe):
    """Yields (hash of the line's key, (block id, line, key)); the key is kept for "near" only."""
    block_id, block = item
    lines = read_lines(block, recipe.text_column).lines
    near = recipe.duplicates == "near"
    keys = duplicates.line_keys(lines) if near else lines
    for line, (value, key) in enumerate(zip(duplicates.line_hashes(keys).tolist(), keys, strict=True)):
        yield value, (block_id, line, key if near else "")


def _but_first(members):
    for block_id, line, _ in sorted(members)[1:]:
        yield block_id, line


def _banded(member):
    for value in duplicates.band_hashes([member[2]])[0].tolist():
        yield value, member


def _near(members):
    """Yields (block id, line) of the members of one band that are like an earlier one."""
    found = sorted(members)
    dropped = duplicates.near_lines((i, duplicates.grams(key)) for i, (_, _, key) in enumerate(found))
    for i in dropped:
        yield found[i][:2]


def _shard_of(block_id, shards):
    digest = hashlib.sha256(b"%d %d" % block_id).digest()
    return int.from_bytes(digest[:8], "big") % shards


def _write_shard(item, vocab_size, output_dir):
    """Writes one shard, its blocks in the order of the corpus, so that a repeated call writes the same bytes."""
    from apache_beam.io.filesystems import FileSystems

    number, blocks = item
    shard = join_shards([shard for _, shard in sorted(blocks, key=lambda block: block[0])])
    data = shard_bytes(shard, vocab_size)
    _write(FileSystems.join(output_dir, shard_name(number)), data)
    yield shard_entry(shard_name(number), data, shard)


def _write_entry(entry, output_dir):
    _write(_entry_path(output_dir, Path(entry["file"]).stem), json.dumps(entry).encode())


def _entry_path(output_dir, stem):
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.join(str(output_dir), f"{stem}.entry.json")


# === Files of Beam's file systems ===


def _files(inputs):
    from apache_beam.io.filesystems import FileSystems

    found = []
    for name in map(str, inputs):
        matches = [metadata.path for metadata in FileSystems.match([name])[0].metadata_list]
        if not matches or (matches == [name] and Path(name).is_dir()):
            inside = FileSystems.match([FileSystems.join(name, "*")])[0].metadata_list
            matches = [m.path for m in inside if form_of(m.path) == "jsonl" or ".txt" in Path(m.path).suffixes]
        if not matches:
            raise DataError(f"{name}: no such file; expected .txt or .jsonl files, or folders of them")
        found += sorted(matches)
    return found


def _open(path, mode):
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _write(path, data):
    """Writes a file under another name and renames it, so that it is whole or not there."""
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    folder = FileSystems.split(path)[0]
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    temporary = f"{path}.tmp-{hashlib.sha256(data).hexdigest()[:8]}"
    with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)
    if FileSystems.exists(path):
        FileSystems.delete([path])
    FileSystems.rename([temporary], [path])


def _delete(pattern):
    from apache_beam.io.filesystems import FileSystems

    if paths := [metadata.path for metadata in FileSystems.match([pattern])[0].metadata_list]:
        FileSystems.delete(paths)


def _read_json(path):
    with _open(path, "rb") as file:
        return json.loads(file.read())


def _saved(tokenizer):
    """File name -> bytes of what Tokenizer.save writes."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
