"""Files -> TextData: TSV, CSV, JSON lines and plain text, each also gzipped, with errors that name the line."""

import gzip
import os
import re
import zlib

from tfkor.data.text_data import DataError, TextData, check_label_type, json_object, parse_label, shorten

FORMATS = {".tsv": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "txt"}


def read_table(
    path: str | os.PathLike,
    text_column: str | int = "text",
    label_column: str | int | None = "label",
    pair_column: str | int | None = None,
    label_type: str = "class",
    label_separator: str = "|",
    delimiter: str | None = None,
    header: bool = True,
) -> TextData:
    """Reads a labelled or unlabelled file of texts, UTF-8 with or without a byte order mark, gzipped or not.

    The extension (before .gz) determines the format: .tsv has one row per line, and quotes are plain characters; .csv
    follows RFC 4180, with quoted fields that may span several lines; .jsonl has one JSON object per line; .txt one text
    per line, without labels. Empty lines are skipped, except in .txt, where an empty line is an empty text.

    Args:
      path: the file.
      text_column, label_column, pair_column: names in the header or keys of the JSON objects; numbers from 0 if
        `header` is False. `label_column=None` reads without labels, `pair_column=None` without second texts.
      label_type: "class" (str; white space around it is dropped), "multi_label" (tuple of str: cells such as
        `billing|refund`, JSON lists, empty for none of the labels) or "regression" (float).
      label_separator: the character between the labels of a multi-label cell.
      delimiter: reads the file as a table whatever its extension: with a tab as .tsv, with another character as .csv.
      header: False if the first line is a row of data.

    Raises:
      DataError: a file that is missing, empty, damaged, a folder, or not UTF-8; a missing column; a row with more or
        fewer columns than the first; a quote that never closes; a line that is no JSON object; a wrong label.
    """
    check_label_type(label_type)
    path = os.fspath(path)
    form = _format(path, delimiter)
    text = read_text(path)
    if form == "txt":
        if pair_column is not None:
            raise DataError(f"{path}: a .txt file has one text per line and no column {pair_column!r}; use .tsv")
        lines = _lines(text)
        return TextData(lines, source=path, lines=list(range(1, len(lines) + 1)))

    columns = {"text_column": text_column, "pair_column": pair_column, "label_column": label_column}
    columns = {argument: column for argument, column in columns.items() if column is not None}
    if form == "jsonl":
        rows = _json_rows(path, text, columns)
    else:
        rows = _tsv_rows(text) if form == "tsv" else _csv_rows(path, text, delimiter or ",")
        rows = _pick(path, rows, columns, header)

    data = {argument: [] for argument in columns}
    lines = []
    for line, cells in rows:
        lines.append(line)
        for (argument, column), cell in zip(columns.items(), cells, strict=True):
            if argument == "label_column":
                try:
                    cell = parse_label(cell, label_type, label_separator)
                except ValueError as error:
                    raise DataError(f"{path}, line {line}, column {column!r}: {error}") from None
            elif not isinstance(cell, str):
                raise DataError(f"{path}, line {line}, column {column!r}: found {shorten(cell)}, expected a string")
            data[argument].append(cell)
    if not lines:
        raise DataError(f"{path}: a header and no rows; expected one row or more")
    return TextData(data["text_column"], data.get("pair_column"), data.get("label_column"), path, lines)


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, gzipped or not, without a byte order mark.

    Raises:
      DataError: missing, a folder, not readable, empty, damaged gzip, or not UTF-8 (names line and byte).
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        folder = os.path.dirname(os.path.abspath(path))
        near = ", ".join(sorted(os.listdir(folder))[:8]) if os.path.isdir(folder) else "no such folder"
        raise DataError(f"{path}: no such file; in {folder}: {near or 'nothing'}") from None
    except IsADirectoryError:
        near = ", ".join(sorted(os.listdir(path))[:8]) or "nothing"
        raise DataError(f"{path}: a folder, expected a file; it holds: {near}") from None
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); check its permissions") from None
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: cut short or damaged gzip ({error}); copy or download it again") from None
    elif str(path).endswith(".gz") and data:
        raise DataError(f"{path}: not gzip, in spite of its ending (it begins with {data[:4].hex(' ')}); rename it")
    if not data:
        raise DataError(f"{path}: the file is empty; expected one or more rows")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{path}, line {line}: not UTF-8: byte 0x{data[error.start]:02x} at byte {column} of the line; "
            + _encoding_hint(data, path)
        ) from None
    if not text.strip("\r\n"):
        raise DataError(f"{path}: nothing but line ends; expected one or more rows")
    return text


def _encoding_hint(data, path):
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"it starts as UTF-16 does: convert it with `iconv -f utf-16 -t utf-8 {path} > NEW`"
    try:
        data.decode("cp949")
    except UnicodeDecodeError:
        return "correct this line, or save the file as UTF-8"
    return f"it can be read as CP949 (Korean Windows): convert it with `iconv -f cp949 -t utf-8 {path} > NEW`"


def _format(path, delimiter):
    if delimiter is not None:
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise ValueError(f"delimiter={delimiter!r}; expected one character, not a quote or a line end")
        return "tsv" if delimiter == "\t" else "csv"
    ending = os.path.splitext(path.removesuffix(".gz"))[1].lower()
    if ending not in FORMATS and os.path.exists(path) and not os.path.isdir(path):
        raise DataError(
            f"{path}: the ending {ending!r} says no format; expected {', '.join(FORMATS)} (each also with .gz), "
            "or set delimiter to read it as a table"
        )
    return FORMATS.get(ending)  # None: read_text says what is wrong


def _lines(text):
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _tsv_rows(text):
    return ((number, line.split("\t")) for number, line in enumerate(_lines(text), 1) if line)


def _csv_rows(path, text, delimiter):
    """(line, cells) of each row. A quote opens a field only at its start, as in RFC 4180 and the csv module."""
    d = re.escape(delimiter)
    field = re.compile(rf'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{d}\r\n][^{d}\r\n]*)?)({d}|\r\n|\r|\n|\Z)')
    position, line, start, row = 0, 1, 1, []
    while position < len(text) or row:
        match = field.match(text, position)
        if match is None:
            raise DataError(_quote_error(path, text, position, line))
        quoted, plain, end = match.groups()
        row.append((plain or "") if quoted is None else quoted.replace('""', '"'))
        line += len(re.findall(r"\r\n|\r|\n", quoted or "")) + (end != delimiter)
        position = match.end()
        if end != delimiter:
            if row != [""] or quoted is not None:
                yield start, row
            row, start = [], line


def _quote_error(path, text, position, line):
    opened = f"{path}, line {line}: the quote that opens the field {text[position : position + 30].splitlines()[0]!r}"
    advice = 'close it, write a quote inside a quoted field twice (""), or save as .tsv, where quotes are characters'
    closed = re.compile(r'"[^"]*+(?:""[^"]*+)*+"').match(text, position)
    if closed is None:
        return f"{opened} never closes; {advice}"
    last = line + closed.group().count("\n")
    found = text[closed.end() : closed.end() + 10].splitlines()[0]
    return f"{opened} closes on line {last} in front of {found!r}; expected a delimiter or a line end there; {advice}"


def _pick(path, rows, columns, header):
    """(line, the cells of `columns`) of each row, after checking that all rows are as wide as the first."""
    number, first = next(rows)
    names = [name.strip() for name in first] if header else list(range(len(first)))
    indices = [_index(path, names, argument, column, header) for argument, column in columns.items()]
    if not header:
        yield number, [first[i] for i in indices]
    for number, cells in rows:
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {number}: {_columns(len(cells))}, expected {len(names)}"
                + (f" ({', '.join(names)})" if header else " as on the first line")
                + "; look for a delimiter in a text, a missing cell, or a line that was broken in two"
            )
        yield number, [cells[i] for i in indices]


def _index(path, names, argument, column, header):
    if not header and isinstance(column, str) and column.isdecimal():
        column = int(column)
    if isinstance(column, int) and 0 <= column < len(names):
        return column
    if names.count(column) == 1:
        return names.index(column)
    if names.count(column) > 1:
        raise DataError(
            f"{path}, line 1: {names.count(column)} columns are called {column!r}; expected one: rename some"
        )
    if not header:
        raise DataError(
            f"{path}: no column {column!r}; a file without header has the columns 0 to {len(names) - 1}; set {argument}"
        )
    raise DataError(
        f"{path}, line 1: no column {column!r}; there are {_columns(len(names))}: {', '.join(map(shorten, names))}; "
        f"set {argument} to one of them, or, if the first line is a row, header=False and the columns by number"
    )


def _columns(count):
    return f"{count} column{'' if count == 1 else 's'}"


def _json_rows(path, text, columns):
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = json_object(line, where)
        for argument, column in columns.items():
            if column not in row:
                raise DataError(f"{where}: no key {column!r}; there are {', '.join(map(shorten, row))}; set {argument}")
        yield number, [row[column] for column in columns.values()]
