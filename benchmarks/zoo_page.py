"""Copy tables and figures of the zoo into a page: each `<!-- table: NAME -->` block, and figures into zoo/ beside it.

    python benchmarks/zoo_page.py results/zoo docs/zoo.md

NAME is a Markdown file below the tables of the zoo, as `published/leaderboard-solids`. `<!-- table: NAME without Time,
Memory -->` drops the columns whose names start so. Figures are those that the page names as zoo/NAME.png; `--` stands
for the `/` between board and figure.
"""

import re
import shutil
import sys
from pathlib import Path

BLOCK = re.compile(r"(<!-- table: (\S+)(?: without (.+?))? -->\n).*?(<!-- end -->)", re.DOTALL)
FIGURE = re.compile(r"\(zoo/([\w-]+?)--([\w-]+)\.png\)")
BORDER = re.compile(r"(?<!\\)\|")  # between cells


def main(results: Path, page: Path) -> None:
    """Replace the tables of the page, and copy its figures."""

    def read_table(block: re.Match[str]) -> str:
        start, name, without, end = block.groups()
        table = (results / "tables" / f"{name}.md").read_text(encoding="utf-8").strip()
        return start + (drop_columns(table, re.split(r",\s*", without)) if without else table) + "\n" + end

    text = BLOCK.sub(read_table, page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    folder = page.parent / "zoo"
    folder.mkdir(exist_ok=True)
    for board, figure in FIGURE.findall(text):
        shutil.copy(results / "figures" / board / f"{figure}.png", folder / f"{board}--{figure}.png")


def drop_columns(table: str, starts: list[str]) -> str:
    """A Markdown table, and text below it, without the columns whose names start with one of the words."""
    names = [name.strip() for name in BORDER.split(table.splitlines()[0])]
    kept = [k for k, name in enumerate(names) if not name.startswith(tuple(starts))]
    rows = [(line, BORDER.split(line)) for line in table.splitlines()]
    return "\n".join("|".join(cells[k] for k in kept) if line.startswith("|") else line for line, cells in rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
