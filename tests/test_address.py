"""Addresses with passwords: ambiguous ones are refused, others are shown without what is secret."""

from pathlib import Path

import pytest

from greedymm.address import check_address, mask
from greedymm.errors import GreedymmError
from greedymm.params.load import load, validate


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///mlflow.db",
        "sqlite:////home/me@work/mlflow.db",
        "http://127.0.0.1:5000",
        "https://host/path?workspace=1",
        "http://user:pa:ss!$&'()*+,;=~._-@host",
        "postgresql+psycopg2://user:p%40%2Fss@[::1]:5432/db",
        "mlruns",
        "databricks",
    ],
)
def test_addresses_that_libraries_read_in_one_way_are_taken(address: str) -> None:
    assert check_address(address) == address


@pytest.mark.parametrize("password", [*'@/#? []{}|^<>`\\"%\n\té', "p@ss/w0rd", "100%", "a@b@c", "1/2"])
def test_a_password_that_libraries_could_cut_in_pieces_is_refused_without_showing_it(password: str) -> None:
    uri = f"http://user:Before{password}Over@127.0.0.1:9"
    with pytest.raises(ValueError, match="@ as %40"):
        check_address(uri)

    with pytest.raises(GreedymmError, match=r"tracking.uri: .*@ as %40") as raised:
        validate({"seeds": [0], "datasets": {}, "tracking": {"uri": uri}})

    assert "Before" not in str(raised.value)
    assert "Over" not in str(raised.value)


@pytest.mark.parametrize(
    "section", ["http://user:Secret@host", {"uri": ["http://user:Secret@host"]}, {"http://u:Secret@host": 1}]
)
def test_params_of_another_form_do_not_show_the_password(section: object) -> None:
    with pytest.raises(GreedymmError, match="tracking") as raised:
        validate({"seeds": [0], "datasets": {}, "tracking": section})

    assert "Secret" not in str(raised.value)


def test_a_file_that_is_no_yaml_does_not_show_the_password(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("tracking: {uri: http://user:Sec: @ret@host}}")

    with pytest.raises(GreedymmError, match="is no valid YAML") as raised:
        load(path)

    assert "Sec" not in str(raised.value)
    assert "ret" not in str(raised.value).replace("interpreted", "")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("http://user:Sec%2Fret@host", "http://user:Sec%2Fret@host/api failed: wrong password Sec/ret, Sec%2Fret"),
        ("https://Sec-ret@host", "token Sec-ret is not known"),
        (
            "postgresql://host/db?user=me&password=Sec+ret",
            "postgresql://host/db?password=Sec+ret: no password 'Sec ret'",
        ),
        ("", "mysql://me:Sec@ret/Sec@host and ftp://me:Sec@host"),
    ],
)
def test_masked_texts_have_no_part_of_the_password(address: str, text: str) -> None:
    masked = mask(text, address)

    assert "***" in masked
    assert "Sec" not in masked
    assert "ret" not in masked
