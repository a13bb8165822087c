"""The additive approximation against an example by hand, a least-squares fit, and networks that are additive."""

import measured
import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from greedymm.evaluation.measures.emap import Settings, combine, compute, project
from greedymm.models.network import Pass

SETTINGS = Settings(name="emap")


def test_the_example_by_hand() -> None:
    logits = torch.tensor([[-1.3, 0.3, -0.2], [0.8, 3.0, 1.1], [1.1, -0.1, 0.7]], dtype=torch.float64)

    assert project(logits.unsqueeze(2)).flatten().tolist() == pytest.approx([-0.8, 2.1, 0.5])


@pytest.mark.parametrize("modalities", [2, 3])
def test_the_projection_is_the_additive_model_that_fits_best(modalities: int) -> None:
    logits = torch.randn((4,) * modalities, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cells = np.array(list(np.ndindex(*logits.shape)))
    design = np.concatenate([np.eye(4)[cells[:, m]] for m in range(modalities)], axis=1)
    fitted = design @ np.linalg.lstsq(design, logits.flatten().numpy(), rcond=None)[0]

    found = project(logits.unsqueeze(-1)).flatten()

    assert found.tolist() == pytest.approx(fitted[[len(set(cell)) == 1 for cell in cells]].tolist())


@pytest.mark.parametrize("modalities", [2, 3])
def test_combinations_are_those_of_the_network(modalities: int) -> None:
    model, split = measured.network(modalities), measured.split(modalities)
    with torch.no_grad():
        logits = combine(model, [h[:4] for h in model.stem(split.inputs)])
        cell = (3, 0, 2)[:modalities]
        expected = model([x[i : i + 1] for x, i in zip(split.inputs, cell, strict=True)]).logits[0]

    torch.testing.assert_close(logits[cell], expected.double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["branches without fusion", "one linear head"])
@pytest.mark.parametrize("modalities", [2, 3])
def test_the_gap_of_an_additive_network_is_exactly_zero(kind: str, modalities: int) -> None:
    model = tiny.network(modalities, joint=kind == "one linear head")
    model.remove_fusions()
    split = measured.split(modalities, samples=60)
    with torch.no_grad():
        logits = combine(model.eval(), [h[:9] for h in model.stem(split.inputs)])
        own = model([x[:9] for x in split.inputs], Pass()).logits

    table, found = measured.apply(SETTINGS, model, split)

    assert (found["emap_gap"], found["emap_changed"]) == (0, 0)
    torch.testing.assert_close(project(logits), own.double(), rtol=1e-5, atol=1e-5)
    assert (table["mean_emap"] >= 0).sum() == {2: 60, 3: 34}[modalities]  # 200^(2/3) = 34.2


def test_a_network_whose_branches_interact_has_a_gap() -> None:
    _, found = measured.apply(SETTINGS, measured.network(), measured.split())

    assert found["emap_changed"] != 0


def test_values_are_those_of_the_samples_that_are_drawn() -> None:
    columns = {"label": [0, 0, 0, 0], "mean": [0, 0, 1, 1], "mean_emap": [0, 1, 1, -1]}

    found = compute(SETTINGS, pd.DataFrame(columns), ("m0", "m1"))

    assert found == pytest.approx({"emap_gap": 1 / 3, "emap_changed": 1 / 3})
