from pathlib import Path

import pytest

from greedymm.analysis.report import CAPTIONS, OF_EACH, OF_MULTIMODAL

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", CAPTIONS)
def test_a_figure_has_the_same_caption_in_snakemakes_report(kind: str) -> None:
    there = " ".join((ROOT / "workflow/report" / f"{kind}.rst").read_text(encoding="utf-8").split())

    assert there.casefold() == CAPTIONS[kind].casefold()


def test_every_figure_has_a_caption() -> None:
    assert {*OF_EACH, *OF_MULTIMODAL, "accuracy", "costs"} == set(CAPTIONS)
