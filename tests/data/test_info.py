import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from greedymm.data import hdf5
from greedymm.data.samples import DatasetInfo, Samples
from greedymm.errors import GreedymmError
from greedymm.info import read_info

FACTS = DatasetInfo(("cat", "dog"), "drawn here", "CC0", generated=True, notes=("filmed at night",))
COUNTS = {"train": 5, "val": 3, "test": 4}


def write(path: Path, facts: DatasetInfo = FACTS) -> None:
    shapes = {"image": (3, 4, 5), "clip": (1, 2, 4, 5)}
    splits = {
        split: Samples(
            {m: np.zeros((n, *shape), dtype=np.uint8) for m, shape in shapes.items()},
            np.arange(n) % 2,
            [f"{split}{k}" for k in range(n)],
        )
        for split, n in COUNTS.items()
    }
    hdf5.write(path, splits, facts)


def test_the_json_beside_a_dataset_says_all_that_later_steps_need(tmp_path: Path) -> None:
    path = tmp_path / "pets" / "0123abcd.h5"
    write(path)

    info = read_info(path)

    assert info.model_dump() == {
        "display_name": "pets (generated data)",
        "generated": True,
        "own": False,
        "source": "drawn here",
        "license": "CC0",
        "notes": ("filmed at night",),
        "classes": ("cat", "dog"),
        "modalities": ("image", "clip"),
        "shapes": {"image": (3, 4, 5), "clip": (1, 2, 4, 5)},
        "counts": COUNTS,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@pytest.mark.parametrize(("folder", "own"), [(None, False), ("mine", True)])
def test_settings_tell_the_name_and_whether_the_folder_is_the_users(
    folder: str | None, tmp_path: Path, *, own: bool
) -> None:
    write(tmp_path / "a.h5", replace(FACTS, generated=False, settings={"dataset": "cats", "data": {"folder": folder}}))

    info = read_info(tmp_path / "a.h5")

    assert (info.display_name, info.own) == ("cats", own)


@pytest.mark.parametrize("content", [None, "", "{}", '{"display_name": "a'])
def test_missing_or_broken_json_is_named_with_the_cure(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path)
    path.with_suffix(".json").unlink()
    if content is not None:
        path.with_suffix(".json").write_text(content, encoding="utf-8")

    with pytest.raises(GreedymmError, match=r"a\.json is (missing; make it with|broken (?s:.*)Delete it)"):
        read_info(path)
