"""What YAML reads as something else than it looks like is read as it looks, or refused with its line and the cure."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from greedymm.errors import GreedymmError
from greedymm.params.load import load
from greedymm.params.yaml_reader import read

REFUSED = {
    "a key twice": (b"a: 1\nb: 2\na: 1", "line 3, column 1: the key 'a' is there twice, first in line 1; delete one"),
    "a key twice within": (b"a: {b: 1, b: 2}", "line 1, column 11: the key 'b' is there twice"),
    "a key that is a bool": (b"on: {}", "the key 'on' is no text; put it in quotes"),
    "a key that is a number": (b"a: {1: {}}", "the key '1' is no text; put it in quotes"),
    "a key that is null": (b"null: 1", "the key 'null' is no text; put it in quotes"),
    "a key that is a list": (b"? [a]\n: 1", "is no text; put it in quotes"),
    "an octal number": (b"a: 010", "line 1, column 4: 010 has two meanings; write a plain number, or text in quotes"),
    "a time": (b"a: 1:30", "1:30 has two meanings"),
    "a time with a fraction": (b"a: 1:30.5", "1:30.5 has two meanings"),
    "a tab": (b"a:\n\tb: 1", "line 2, column 1: .*; indent with spaces"),
    "two documents": (b"a: 1\n---\na: 2", "line 2, column 1: but found another document"),
    "an object": (b"a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "another encoding": ("a: é".encode("latin-1"), "is no text in UTF-8 .*; save it as UTF-8"),
    "a control character": (b"a: \0", "is no text in UTF-8 .*without control characters"),
    "a tag that does not fit": (b'a: !!bool "x"', "line 1, column 4: 'x' is no bool; correct it"),
    "a number of no digits": (b"a: 0x_", "line 1, column 4: '0x_' is no int; correct it"),
    "a number of 5,000 digits": (b"a: " + b"9" * 5000, "line 1, column 4: '9+' is no int"),
    "3,000 levels": (b"a: " + b"[" * 3000, "it has too many levels"),
    "nothing": (b"# a: 1\n", "holds no mapping of settings, such as `seeds: "),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_yaml_or_has_two_meanings_is_refused_in_one_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)

    with pytest.raises(GreedymmError, match=message) as raised:
        load(path)

    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),  # text in YAML 1.1
        ("1e-05", 0.00001),  # as DVC writes a number
        ("-2E3", -2000.0),
        ("1.5e3", 1500.0),
        ("0.1", 0.1),
        ("0", 0),
        ("0x10", 16),
        ("2020-01-01", "2020-01-01"),
        ("1e-3x", "1e-3x"),
        ("yes", True),
    ],
)
def test_numbers_are_read_as_in_python_and_dates_are_text(text: str, value: Any) -> None:
    found = read(f"a: {text}".encode())["a"]

    assert (found, type(found)) == (value, type(value))


def test_line_ends_marks_and_merged_mappings_change_nothing() -> None:
    content = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n"

    assert read(content.encode()) == yaml.safe_load(content)
    for same in (content.replace("\n", "\r\n").encode(), content.encode("utf-8-sig"), content.encode("utf-16")):
        assert read(same) == read(content.encode())
