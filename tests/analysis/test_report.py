from pathlib import Path

import pytest

from greedymm.analysis.report import CAPTIONS
from greedymm.params.load import load
from greedymm.plan import figures_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", CAPTIONS)
def test_a_figure_has_the_same_caption_in_snakemakes_report(kind: str) -> None:
    there = " ".join((ROOT / "workflow/report" / f"{kind}.rst").read_text(encoding="utf-8").split())

    assert there.casefold() == CAPTIONS[kind].casefold()


def test_every_figure_has_a_caption() -> None:
    assert {*figures_of(load(ROOT / "params.yaml")), "accuracy", "costs"} == set(CAPTIONS)
