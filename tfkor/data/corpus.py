"""A corpus: text files of any size, read once as a stream, in blocks of whole documents."""

import glob
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tfkor.data.text_data import DataError, json_object, shorten

TEXT, JSONL = (".txt",), (".jsonl", ".ndjson")
CHUNK = 1 << 20
BOUNDARY = {"text": re.compile(rb"\n[ \t\r]*\n"), "jsonl": re.compile(rb"\n")}  # where documents end


class Part(NamedTuple):
    """Whole lines of one file.

    path: str; line: the number of the first line, from 1; data: bytes; cut: whether the document continues in the next
    part, since it is too long for one block.
    """

    path: str
    line: int
    data: bytes
    cut: bool


class Block(NamedTuple):
    """Documents that are processed together. number: from 0; parts: list of Part; position: bytes of the files on disk
    that have been read up to here."""

    number: int
    parts: list[Part]
    position: int

    @property
    def sha256(self) -> str:
        """Hash of the text, hex; shows whether the input is still the same."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(b"%d %d\n" % (len(part.data), part.cut))
            digest.update(part.data)
        return digest.hexdigest()


class Lines(NamedTuple):
    """The lines of a block that are not blank, white space around them dropped.

    lines: list of str; documents: list of int, the document of each line, numbered from 0 within the block.
    """

    lines: list[str]
    documents: list[int]


def corpus_files(inputs: Sequence[str | os.PathLike]) -> list[str]:
    """The files of a corpus: list of str.

    Args:
      inputs: paths or glob patterns. A file that is named here is read whatever its extension: .jsonl and .ndjson as
        JSON lines, all others as plain text. Of a folder, all .txt, .jsonl and .ndjson files below it are read, sorted
        by name, without hidden ones. Each also with .gz.

    Raises:
      DataError: nothing matches, a file is missing, or a folder holds none.
    """
    found = []
    for name in map(os.fspath, inputs):
        paths = sorted(glob.glob(name)) if glob.has_magic(name) and not os.path.exists(name) else [name]
        if not paths:
            raise DataError(f"{name}: no file matches; expected .txt or .jsonl files, or folders of them")
        for path in paths:
            if os.path.isdir(path):
                found += _files_below(path)
            elif os.path.exists(path):
                found.append(path)
            else:
                folder = os.path.dirname(os.path.abspath(path))
                near = ", ".join(sorted(os.listdir(folder))[:8]) if os.path.isdir(folder) else "no such folder"
                raise DataError(f"{path}: no such file; in {folder}: {near or 'nothing'}")
    if not found:
        raise DataError("no input; expected at least one file or folder")
    seen = set()
    for path in map(os.path.abspath, found):
        if path in seen:
            raise DataError(f"{path}: named twice; name each input once")
        seen.add(path)
    return found


def _files_below(folder):
    kept = []
    for path in Path(folder).rglob("*"):
        ending = Path(path.name.removesuffix(".gz")).suffix.lower()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if ending in TEXT + JSONL and not hidden and path.is_file():
            kept.append(str(path))
    if not kept:
        near = ", ".join(sorted(os.listdir(folder))[:8]) or "nothing"
        raise DataError(f"{folder}: no .txt, .jsonl or .ndjson file (also with .gz) below it; it holds: {near}")
    return sorted(kept)


def form_of(path: str) -> str:
    """How a file is read: "jsonl" or "text"."""
    return "jsonl" if Path(path.removesuffix(".gz")).suffix.lower() in JSONL else "text"


def read_blocks(
    files: Sequence[str], block_bytes: int, open_file: Callable[[str, str], IO[bytes]] = open
) -> Iterator[Block]:
    """Yields the Blocks of `files`, in their order; the same files and `block_bytes` give the same blocks.

    A block ends with the first document that ends after `block_bytes` bytes of text. The end of a file ends a document.
    A document of more than 2 * block_bytes is cut between lines. At most about 3 * block_bytes are in memory.

    Args:
      files: paths.
      block_bytes: int.
      open_file: called with (path, "rb"), for files on other file systems.

    Raises:
      DataError: a damaged .gz file, a line that is longer than 2 * block_bytes, or nothing in any file.
    """
    number, parts, size, before = 0, [], 0, 0
    for path in files:
        boundary, buffer, line, raw = BOUNDARY[form_of(path)], bytearray(), 1, None
        for chunk, raw in _chunks(path, open_file):
            buffer += chunk
            while size + len(buffer) > block_bytes:
                end = boundary.search(buffer, max(0, block_bytes - size - 1), 2 * block_bytes)
                if end is None and len(buffer) < 2 * block_bytes:
                    break
                stop = end.end() if end else buffer.rfind(b"\n", 0, 2 * block_bytes) + 1
                if not stop:
                    raise DataError(
                        f"{path}, line {line}: a line of more than {2 * block_bytes:,} bytes; expected text with a "
                        "line for each sentence or paragraph: break it, or take larger shards"
                    )
                parts.append(Part(path, line, bytes(buffer[:stop]), end is None))
                yield Block(number, parts, before + raw)
                line += buffer.count(b"\n", 0, stop)
                del buffer[:stop]
                number, parts, size = number + 1, [], 0
        before += raw or 0
        if buffer:
            parts.append(Part(path, line, bytes(buffer), False))
            size += len(buffer)
    if parts:
        yield Block(number, parts, before)


def _chunks(path, open_file):
    """Yields (bytes of text, bytes of the file read so far)."""
    with open_file(path, "rb") as file:
        head = file.read(2)
        file.seek(0)
        gzipped = head == b"\x1f\x8b"
        if path.endswith(".gz") and head and not gzipped:
            raise DataError(f"{path}: not gzip, in spite of its ending (it begins with {head.hex(' ')}); rename it")
        stream = gzip.GzipFile(fileobj=file) if gzipped else file
        try:
            while chunk := stream.read(CHUNK):
                yield chunk, file.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: cut short or damaged gzip ({error}); copy or download it again") from None


def read_lines(block: Block, text_column: str = "text") -> Lines:
    """The Lines of a Block.

    Plain text: a line is a sentence or a paragraph, and blank lines separate documents. JSON lines: an object is a
    document, and its `text_column` holds the lines.

    Raises:
      DataError: a line that is not UTF-8, or no JSON object with a string under `text_column`; names file and line.
    """
    lines, documents, number = [], [], 0
    for part in block.parts:
        if form_of(part.path) == "text":
            texts = _decode(part).split("\n")
            for line in map(str.strip, texts):
                if line:
                    lines.append(line)
                    documents.append(number)
                else:
                    number += 1
            number += 1
        else:
            for text in _json_texts(part, text_column):
                found = [line for line in map(str.strip, text.split("\n")) if line]
                lines += found
                documents += [number] * len(found)
                number += 1
    return Lines(lines, documents)


def _decode(part):
    data = part.data.removeprefix(b"\xef\xbb\xbf") if part.line == 1 else part.data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = part.line + data.count(b"\n", 0, error.start)
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{part.path}, line {line}: not UTF-8: byte 0x{data[error.start]:02x} at byte {byte} of the line; convert "
            "the file first, with `iconv -f cp949 -t utf-8` for example, or correct this line"
        ) from None


def _json_texts(part, column):
    for number, line in enumerate(_decode(part).split("\n"), part.line):
        if not line.strip():
            continue
        where = f"{part.path}, line {number}"
        row = json_object(line, where)
        if column not in row:
            raise DataError(f"{where}: no key {column!r}; there are {', '.join(map(shorten, row))}; set text_column")
        if not isinstance(row[column], str):
            raise DataError(f"{where}, key {column!r}: found {shorten(row[column])}, expected a string")
        yield row[column]
