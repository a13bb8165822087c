"""Names of files and classes, and what their owner writes about them, are text wherever they are shown."""

import csv
import logging
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.dom import minidom

import made_up
import numpy as np
import pandas as pd
import pytest

from greedymm import cli
from greedymm.analysis.claims.text import to_latex, to_markdown
from greedymm.analysis.figures.style import class_label
from greedymm.data import hdf5
from greedymm.data.samples import SPLITS, DatasetInfo, Samples, exclude_broken
from greedymm.errors import GreedymmError
from greedymm.plan import Plan
from greedymm.run import Run
from greedymm.steps.report import make_report

NAMES = (
    "$x_1$",
    r"$\frac{$",
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "=HYPERLINK(1)",
    "@cmd|' /C calc'!A0",
    "line\nbreak\ttab",
    "\x1b[31mred\x07",
    "{{ 7*7 }}{% raw %}-->]]>",
    "ein sehr langer Name " * 12,
)


def leave_named(run: Run) -> None:
    """Data and results of a run with odd names everywhere."""
    made_up.leave_drawn(run, np.random.default_rng(run.seed), 3, made_up.SAMPLES)
    labels = np.arange(made_up.SAMPLES) % len(NAMES)
    images = {m: np.zeros((len(labels), 3, 8, 8), np.uint8) for m in run.settings.stored}
    splits = {s: Samples(images, labels, [f"{NAMES[k % 10]}-{s}-{k}" for k in range(len(labels))]) for s in SPLITS}
    hdf5.write(run.data_path, splits, DatasetInfo(NAMES, NAMES[2], NAMES[3], generated=False, notes=NAMES))
    path = run.evaluation_folder / "predictions.parquet"
    pd.read_parquet(path).assign(id=splits["test"].ids).to_parquet(path)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_odd_names_are_text_in_the_page_the_figures_and_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = Plan.make(made_up.make_params([0, 1]))
    for run in plan.default_runs:
        leave_named(run)

    make_report(plan)

    page, tags = (plan.folder / "index.html").read_text(encoding="utf-8"), Tags()
    tags.feed(page)
    assert tags.found.count("script") == 2
    assert "onerror" not in tags.attributes
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    pictures = list((plan.folder / "figures").glob("*.svg"))
    assert len(pictures) > 5
    for picture in pictures:
        minidom.parseString(picture.read_bytes())  # noqa: S318  our own file
    with (plan.folder / "tables/uniquely_correct.csv").open(encoding="utf-8", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert not any(name[0] in "=+-@\t\r" for name in ids)


def test_names_of_classes_in_figures_are_short_and_have_no_control_characters() -> None:
    labels = [class_label(name) for name in NAMES]

    assert labels[0] == "$x 1$"
    assert labels[6:8] == [r"line\nbreak\ttab", r"\x1b[31mred\x07"]
    assert max(map(len, labels)) == 40


def test_odd_names_are_text_in_latex_and_markdown() -> None:
    table = pd.DataFrame({"a_%": [r"\input{/etc/passwd}", "$x_1$ & <b>", "[x](javascript:alert(1))", "a\n|b|"]})

    latex, markdown = to_latex(table, ["above\n\\input{x}"]), to_markdown(table)

    assert latex.splitlines()[:2] == ["% above", r"% \input{x}"]
    assert r"\textbackslash input\{/etc/passwd\}" in latex
    assert r"\$x\_1\$ \& <b>" in latex
    assert r"a\_\%" in latex
    assert "&lt;b>" in markdown
    assert r"[x]\(javascript" in markdown
    assert r"a \|b\|" in markdown


def test_the_terminal_and_the_log_get_no_control_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        logging.getLogger("greedymm").warning("%s", "one\x1b[2J")
        raise GreedymmError("two\x1b]0;title\x07\n  cure")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "path", [*sys.path])

    with pytest.raises(SystemExit) as end:
        cli.main()

    assert end.value.code == "greedymm: two\\x1b]0;title\\x07\n  cure"
    assert capsys.readouterr().err.endswith("WARNING one\\x1b[2J\n")


def test_a_name_with_a_line_break_is_one_line_of_a_list() -> None:
    with pytest.raises(GreedymmError) as raised:
        exclude_broken({"cup\n0 samples cannot be used\x1b[2J": "truncated"}, "objects", skip=False)

    assert len(str(raised.value).splitlines()) == 3
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("name", ["greedy; touch x", "$(touch x)", "a b", "../x", "a/b", "`x`", "a'b", "", "-x", "x\n"])
def test_a_method_whose_name_is_no_word_is_refused(name: str) -> None:
    with pytest.raises(GreedymmError, match="methods"):
        made_up.make_params([0], methods={name: {"method": "greedy"}})
