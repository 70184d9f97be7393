"""Lines of text files, plain or gzip, read as a stream."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path


def utf8_lines(path: str | Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file (.gz: unpacked), without line ends and without a byte order mark.

    Raises:
      ValueError: a line that is not UTF-8, or a damaged .gz; the message names the file and line.
    """
    path = Path(path)
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removesuffix(b"\n").removesuffix(b"\r")
                yield (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ValueError(
            f"{path}: line {number} has the byte 0x{byte:02x} at position {error.start + 1}; expected UTF-8: "
            "convert the file first, iconv -f cp949 -t utf-8 for example"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: after line {number}: {error}; expected a whole .gz file") from error


class Lines:
    """The lines of UTF-8 files (plain or .gz), one file after the other, as often as they are iterated over."""

    def __init__(self, paths: str | Path | Iterable[str | Path]):
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file; expected a text file, one text a line")

    def __iter__(self) -> Iterator[str]:
        for path in self.paths:
            yield from utf8_lines(path)
