"""read_table: formats, and what it says of files that can't be read."""

import csv
import gzip
import io
import json
import os
import random

import pytest

from tfkor.data import DataError, TextData, read_table

ROWS = [("잔액 알려 줘", "balance"), ('그가 "불 꺼"라고 했어', "light_off"), ("", "none")]


@pytest.fixture
def write(tmp_path):
    def write(name, content, mode=None):
        path = tmp_path / name
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") and mode != "raw" else content)
        return path

    return write


def tsv(rows=ROWS):
    return "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)


def csv_of(rows=ROWS):
    return 'text,label\n잔액 알려 줘,balance\n"그가 ""불 꺼""라고 했어",light_off\n"",none\n'


def jsonl(rows=ROWS):
    return "".join(json.dumps({"label": label, "text": text, "id": 3}) + "\n" for text, label in rows)


def fails(path, *parts, **options):
    """Asserts that reading fails with a DataError that begins with the path and holds these parts."""
    with pytest.raises(DataError) as error:
        read_table(path, **options)
    message = str(error.value)
    assert message.startswith(str(path)), message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize(("ending", "content"), [(".tsv", tsv), (".csv", csv_of), (".jsonl", jsonl)])
def test_formats(write, ending, content, gz, end, bom):
    path = write(f"a{ending}{gz}", bom + content().replace("\n", end))
    first = 1 if ending == ".jsonl" else 2
    expected = TextData([t for t, _ in ROWS], None, [x for _, x in ROWS], str(path), [first, first + 1, first + 2])
    assert read_table(path) == expected
    assert read_table(str(path), label_column=None).labels is None


def test_last_line_without_end_and_empty_lines(write):
    assert read_table(write("a.tsv", "text\tlabel\n가\tx\n\n나\ty")).lines == [2, 4]
    assert read_table(write("a.csv", "text,label\n가,x\n\n나,y")).lines == [2, 4]
    assert read_table(write("a.jsonl", '{"text":"가"}\n\n{"text":"나"}'), label_column=None).lines == [1, 3]


def test_plain_text_keeps_every_line(write):
    path = write("a.txt", "가\r\n\r\n나\t다")
    assert read_table(path) == TextData(["가", "", "나\t다"], source=str(path), lines=[1, 2, 3])
    fails(path, "no column 'b'", pair_column="b")


def test_line_separators_inside_a_text_are_not_line_ends(write):
    text = "가\u2028나\x0b다\x85라"
    assert read_table(write("a.tsv", f"text\tlabel\n{text}\tx\n")).texts == [text]
    assert read_table(write("a.txt", text + "\n")).texts == [text]
    assert read_table(write("a.csv", f"text,label\n{text},x\n")).texts == [text]


def test_columns_by_name_and_by_number(write):
    path = write("a.tsv", "id\ts1\ts2\tscore\n1\t가\t나\t2.5\n2\t다\t라\t0\n")
    data = read_table(path, "s1", "score", "s2", label_type="regression")
    assert (data.texts, data.pairs, data.labels) == (["가", "다"], ["나", "라"], [2.5, 0.0])
    path = write("b.tsv", "0\t가\n1\t나\n")
    for columns in ((1, 0), ("1", "0")):
        data = read_table(path, *columns, header=False)
        assert (data.texts, data.labels, data.lines) == (["가", "나"], ["0", "1"], [1, 2])


def test_delimiter_overrides_the_ending(write):
    assert read_table(write("a.txt", tsv()), delimiter="\t").labels == ["balance", "light_off", "none"]
    assert read_table(write("a.dat", 'text;label\n"가;나";x\n'), delimiter=";").texts == ["가;나"]
    for bad in ("", '"', "ab", "\n"):
        with pytest.raises(ValueError, match="expected one character"):
            read_table(write("a.txt", tsv()), delimiter=bad)


def test_multi_label(write):
    path = write("a.tsv", "text\tlabel\n가\tb| a|b\n나\t\n")
    assert read_table(path, label_type="multi_label").labels == [("b", "a"), ()]
    path = write("a.jsonl", '{"text": "가", "label": ["a|b", "c"]}\n{"text": "나", "label": "a;c"}\n')
    assert read_table(path, label_type="multi_label", label_separator=";").labels == [("a|b", "c"), ("a", "c")]


def test_white_space_around_a_label_is_dropped(write):
    assert read_table(write("a.csv", "text,label\n가,2   \n나,2\n")).labels == ["2", "2"]


def test_csv_equals_the_csv_module(write):
    rng = random.Random(0)
    for trial in range(100):
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        alphabet = "가b\",;\n \t'" + "\r" * (quoting == csv.QUOTE_ALL)  # the minimal writer leaves a lone \\r unquoted
        rows = [["".join(rng.choices(alphabet, k=rng.randint(0, 6))) for _ in range(3)] for _ in range(8)]
        rows = [["a", "b", "c"], *rows]
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator=rng.choice(["\n", "\r\n"]), quoting=quoting).writerows(rows)
        assert list(csv.reader(io.StringIO(buffer.getvalue(), newline=""), strict=True)) == rows
        data = read_table(write(f"{trial}.csv", buffer.getvalue()), "a", None, "c")
        assert list(zip(data.texts, data.pairs, strict=True)) == [(row[0], row[2]) for row in rows[1:]]


def test_csv_lines_and_long_fields(write):
    path = write("a.csv", f'text,label\n"가\n나\r\n다",x\n{"라" * 200_000},y\n,z')
    data = read_table(path)
    assert data.lines == [2, 5, 6] and data.texts[0] == "가\n나\r\n다" and len(data.texts[1]) == 200_000


def test_missing_column(write):
    fails(write("a.tsv", tsv()), "line 1: no column 'u'", "'text', 'label'", "set text_column", text_column="u")
    fails(write("a.csv", csv_of()), "line 1: no column 'y'", "set label_column", label_column="y")
    fails(write("a.jsonl", jsonl()), "line 1: no key 'y'", "'label', 'text', 'id'", label_column="y")
    fails(write("b.tsv", "0\t가\n"), "no column 2", "0 to 1", text_column=2, label_column=0, header=False)
    fails(write("b.tsv", "0\t가\n"), "no column 'text'", "0 to 1", header=False)
    fails(write("c.tsv", "text\ttext\tlabel\n가\t나\tx\n"), "2 columns are called 'text'")
    fails(write("d.jsonl", '{"text":"가","label":"x"}\n{"text":"나"}\n'), "line 2: no key 'label'")


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.txt", "a.tsv.gz"])
def test_empty_files(write, name):
    fails(write(name, ""), "the file is empty")
    fails(write(name, "\n\r\n"), "nothing but line ends")


def test_header_without_rows(write):
    for name, content in (("a.tsv", "text\tlabel\n"), ("a.csv", "text,label")):
        fails(write(name, content), "a header and no rows")


def test_wrong_number_of_columns(write):
    fails(write("a.tsv", "text\tlabel\n가\tx\n나\n"), "line 3: 1 column, expected 2 (text, label)")
    fails(write("a.csv", 'text,label\n"가\n나",x\n다,라,x\n'), "line 4: 3 columns, expected 2")
    path = write("b.tsv", "0\t가\n1\t나\t\n")
    fails(path, "line 2: 3 columns, expected 2 as on the first line", text_column=1, label_column=0, header=False)


def test_invalid_utf8(write):
    bad = "text\tlabel\n가\tx\n".encode() + b"\xea\xb0\x80\xff\tx\n"
    for name in ("a.tsv", "a.tsv.gz"):
        fails(write(name, bad), "line 3: not UTF-8: byte 0xff at byte 4 of the line", "save the file as UTF-8")
    fails(write("b.tsv", tsv().encode("cp949")), "line 2: not UTF-8", "CP949", "iconv -f cp949 -t utf-8")
    fails(write("c.tsv", tsv().encode("utf-16")), "line 1: not UTF-8", "iconv -f utf-16")


def test_quote_that_never_closes(write):
    fails(
        write("a.csv", 'text,label\n"가",x\n나,"다\n라,x\n'),
        "line 3: the quote that opens the field",
        "다' never closes",
    )
    # The row begins on line 2, the second quote opens on line 3.
    fails(
        write("b.csv", 'text,label\n"가\n나","다\n라\n'), "line 3: the quote that opens the field", "다' never closes"
    )
    # It runs on to the next quote of the file, two lines below.
    fails(write("c.csv", 'text,label\n"가,x\n나,x\n"다",x\n'), "line 2: the quote", "closes on line 4 in front of '다")


def test_quotes_in_the_middle_and_in_tsv_are_characters(write):
    assert read_table(write("a.csv", 'text,label\n그 "불",x\n')).texts == ['그 "불"']
    assert read_table(write("a.tsv", 'text\tlabel\n"가\tx\n나"\tx\n')).texts == ['"가', '나"']


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('{"text": "가"', ["line 2: not JSON"]),
        ("[" * 100_000, ["line 2: not JSON"]),
        ("1" * 10_000, ["line 2: "]),
        ('["가", "x"]', ["line 2: found ['가', 'x'], expected an object"]),
        ('{"text": 3, "label": "x"}', ["line 2, column 'text': found 3, expected a string"]),
        ('{"text": null, "label": "x"}', ["line 2, column 'text': found None"]),
        ('{"text": "가", "label": null}', ["line 2, column 'label': the label None"]),
    ],
)
def test_jsonl_errors(write, line, parts):
    fails(write("a.jsonl", '{"text": "가", "label": "x"}\n' + line + "\n"), *parts)


def test_labels_of_the_wrong_kind(write):
    path = write("a.tsv", "text\tlabel\n가\t1\n나\t3,5\n")
    fails(path, "line 3, column 'label': the label '3,5' is not a finite number", label_type="regression")
    fails(write("a.tsv", "text\tlabel\n가\t\n"), "line 2, column 'label': the label is empty")
    with pytest.raises(ValueError, match="label_type='binary'; expected one of"):
        read_table(path, label_type="binary")


def test_files_that_are_none(tmp_path, write):
    write("train.tsv", tsv())
    fails(tmp_path / "trian.tsv", "no such file", "train.tsv")
    fails(tmp_path / "no" / "train.tsv", "no such file", "no such folder")
    folder = tmp_path / "b.tsv"
    folder.mkdir()
    fails(folder, "a folder, expected a file", "it holds: nothing")
    fails(tmp_path, "a folder, expected a file", "train.tsv")
    fails(tmp_path / "train", "no such file", "train.tsv")
    fails(write("a.xlsx", "PK"), "the ending '.xlsx' says no format", ".tsv, .csv, .jsonl")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every file")
def test_no_permission(write):
    path = write("a.tsv", tsv())
    path.chmod(0)
    fails(path, "can't be read (Permission denied)")


def test_damaged_gzip(write):
    packed = gzip.compress(tsv([("가" * i, "x") for i in range(50)]).encode())
    fails(write("a.tsv.gz", packed[:-20], "raw"), "cut short or damaged gzip", "download it again")
    fails(write("a.tsv.gz", packed[:40] + b"\0\0\0" + packed[43:], "raw"), "cut short or damaged gzip")
    fails(write("a.tsv.gz", tsv(), "raw"), "not gzip")
