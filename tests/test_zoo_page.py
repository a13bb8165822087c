import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
zoo_page: Any = import_module("zoo_page")

TABLE = r"""| Method | \|d_util\| | Time (s) | Memory |
|:-------|:-----------|:---------|:-------|
| a \| b | 0.1        | 3        |        |

- 3 methods | undecided
"""


@pytest.mark.parametrize(
    ("without", "kept"),
    [
        ("", [0, 1, 2, 3]),
        (" without Time", [0, 1, 3]),
        (r" without Time, \|d_util, Memory", [0]),
    ],
)
def test_a_page_of_any_name_gets_tables_without_the_dropped_columns_and_its_figures(
    tmp_path: Path, without: str, kept: list[int]
) -> None:
    for folder, file in (("tables", "solids.md"), ("figures", "forest.png")):
        (tmp_path / folder / "tuned").mkdir(parents=True)
        (tmp_path / folder / "tuned" / file).write_text(TABLE)
    page = tmp_path / "zoo-tuned.md"
    start = f"![F](zoo/tuned--forest.png)\n<!-- table: tuned/solids{without} -->\n"
    page.write_text(f"{start}old\n<!-- end -->\n")

    zoo_page.main(tmp_path, page)

    head, line, row, empty, below, end = page.read_text().removeprefix(start).splitlines()
    names, cells = ["Method", r"\|d_util\|", "Time (s)", "Memory"], [r"a \| b", "0.1", "3", ""]
    assert [name.strip() for name in zoo_page.BORDER.split(head)[1:-1]] == [names[k] for k in kept]
    assert [cell.strip() for cell in zoo_page.BORDER.split(row)[1:-1]] == [cells[k] for k in kept]
    assert (line.count("|"), empty, below, end) == (len(kept) + 1, "", "- 3 methods | undecided", "<!-- end -->")
    assert (tmp_path / "zoo/tuned--forest.png").exists()
