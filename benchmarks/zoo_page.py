"""Copy tables and figures of the zoo into docs/zoo.md: each `<!-- table: NAME -->` block, and docs/zoo/*.png.

    python benchmarks/zoo_page.py results/zoo docs/zoo.md

NAME is a Markdown file below the tables of the zoo, as `published/leaderboard-solids`. Figures are those that the page
names as zoo/NAME.png; a `-` stands for the `/` between board and figure.
"""

import re
import shutil
import sys
from pathlib import Path

BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
FIGURE = re.compile(r"\(zoo/([\w-]+?)--([\w-]+)\.png\)")


def main(results: Path, page: Path) -> None:
    """Replace the tables of the page, and copy its figures."""

    def read_table(block: re.Match[str]) -> str:
        return block[1] + (results / "tables" / f"{block[2]}.md").read_text(encoding="utf-8").strip() + "\n" + block[3]

    text = BLOCK.sub(read_table, page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    for board, figure in FIGURE.findall(text):
        shutil.copy(results / "figures" / board / f"{figure}.png", folder / f"{board}--{figure}.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
