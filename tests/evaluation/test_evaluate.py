import logging
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import reference
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.evaluation.evaluate import compute_measures, predict_split, required_passes
from greedymm.evaluation.measures.utilization import Settings as Utilization
from greedymm.models.network import MultimodalNetwork, Pass
from greedymm.settings import MeasureSettings

NAMES = {1: ("m0",), 2: ("m0", "m1"), 3: ("m0", "m1", "m2")}
MEASURES = (Utilization(name="utilization"),)
CLARITY = {1: (1.0,), 2: (1.0, 0.3), 3: (1.0, 0.3, 0.6)}


class Gates(MeasureSettings):
    """A measure whose functions stand below: this module is its plug-in."""


def passes(_: Gates, __: Sequence[str]) -> dict[str, Pass]:
    return {"averaged": Pass(mode=torch.tensor(1))}


def compute(_: Gates, __: pd.DataFrame, ___: Sequence[str]) -> dict[str, float | None]:
    return {"accuracy_m0": 0.0}


class Numbered(MeasureSettings):
    """A measure with a column of its own."""


def columns(_: Numbered, network: MultimodalNetwork, train: tiny.Split, split: tiny.Split) -> dict[str, np.ndarray]:
    assert not network.training
    return {"mean_number": train.count * np.arange(split.count)}


def rates(table: pd.DataFrame, modalities: Sequence[str]) -> dict[str, float | None]:
    return compute_measures(table, MEASURES, modalities)


def samples(model: MultimodalNetwork, split: tiny.Split, known: pd.DataFrame) -> pd.DataFrame:
    return predict_split(model, split, known, MEASURES, split)


def frame(columns: dict[str, list[int]]) -> pd.DataFrame:
    """Predictions of one split, as `predict_split` gives them."""
    count = len(columns["label"])
    known = pd.DataFrame({"split": "test", "id": [f"s{i}" for i in range(count)], "label": columns["label"]})
    return pd.concat([known, pd.DataFrame({n: c for n, c in columns.items() if n != "label"})], axis=1)


# Ten samples. Right, counted by hand: mean 6, m0 8, m1 5; cut: m0 2, m1 5.
BY_HAND = {
    "label":    [0, 1, 2, 0, 1, 2, 0, 1, 2, 0],
    "mean":     [0, 1, 2, 0, 1, 2, 1, 2, 0, 1],
    "m0":       [0, 1, 2, 0, 1, 2, 0, 1, 0, 1],
    "m1":       [0, 1, 2, 0, 1, 0, 1, 2, 0, 1],
    "mean_cut": [1, 2, 0, 1, 2, 0, 1, 2, 0, 1],
    "m0_cut":   [0, 1, 0, 1, 2, 0, 1, 2, 0, 1],
    "m1_cut":   [0, 1, 2, 0, 1, 1, 1, 2, 0, 1],
}  # fmt: skip


def test_rates_of_two_modalities_are_as_counted_by_hand() -> None:
    found = rates(frame(BY_HAND), NAMES[2])

    assert found == pytest.approx(
        {
            "accuracy": 0.6,
            "accuracy_m0": 0.8,
            "accuracy_m0_cut": 0.2,
            "accuracy_m1": 0.5,
            "accuracy_m1_cut": 0.5,
            "utilization_m0": 0.75,  # u(m1 | m0)
            "utilization_m1": 0.0,  # u(m0 | m1)
            "d_util": 0.75,
        }
    )


def test_a_rate_is_negative_and_not_clipped_where_the_other_modality_misleads() -> None:
    misled = BY_HAND | {"m1": [0, 1, 0, 1, 0, 1, 1, 2, 0, 1], "m1_cut": BY_HAND["label"]}  # right: the first two; all

    found = rates(frame(misled), NAMES[2])

    assert found["utilization_m1"] == pytest.approx((0.2 - 1.0) / 0.2)
    assert found["d_util"] == pytest.approx(0.75 + 4.0)


def test_a_rate_is_none_and_said_to_be_undefined_where_the_branch_is_right_on_no_sample(
    caplog: pytest.LogCaptureFixture,
) -> None:
    never_right = BY_HAND | {"m1": [(label + 1) % 3 for label in BY_HAND["label"]]}

    with caplog.at_level(logging.WARNING):
        found = rates(frame(never_right), NAMES[2])

    assert found["utilization_m1"] is None
    assert found["d_util"] is None
    assert found["utilization_m0"] == pytest.approx(0.75)
    assert "m1 is undefined" in caplog.text


def test_rates_of_three_modalities_have_the_range_as_difference() -> None:
    third = {"m2": BY_HAND["m0"], "m2_cut": BY_HAND["m0"][:4] + [0] * 6}  # 8 right; cut: 4 and those of class 0
    cut_right = sum(a == b for a, b in zip(third["m2_cut"], BY_HAND["label"], strict=True))

    found = rates(frame(BY_HAND | third), NAMES[3])

    assert found["utilization_m2"] == pytest.approx((8 - cut_right) / 8)
    assert 0 < (found["utilization_m2"] or 0) < 0.75
    assert found["d_util"] == pytest.approx(0.75 - 0.0)


def test_a_single_modality_has_an_accuracy_and_no_rates() -> None:
    of_one = {n: BY_HAND[n] for n in ("label", "mean", "m0")}

    assert rates(frame(of_one), NAMES[1]) == {"accuracy": pytest.approx(0.6)}


CUT = {m: Pass(hears=torch.eye(m, dtype=torch.bool)) for m in NAMES}


# -- Predictions of networks --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[MultimodalNetwork, tiny.Split]]:
    """Trained networks of 1, 2 and 3 modalities with recorded means, and splits of 13 samples."""
    networks = {}
    for modalities, clarity in CLARITY.items():
        run = tiny.run(tmp_path_factory.mktemp("run") / "resume.pt", clarity=clarity)
        run.go()
        with torch.no_grad():
            for fusion in run.fit.model.fusions:
                for p in fusion.parameters():
                    p.mul_(5)  # so that cutting the flow changes predictions
        run.fit.model.record_means(tiny.split(26, clarity, 6))
        networks[modalities] = run.fit.model, tiny.split(13, clarity, 4, seed=5)
    return networks


def known(split: tiny.Split) -> pd.DataFrame:
    count = len(split.labels)
    return pd.DataFrame({"split": "val", "id": [f"s{i}" for i in range(count)], "label": split.labels.numpy()})


def classes(logits: Sequence[Tensor]) -> list[list[int]]:
    """Predicted classes of the mean and of each branch, sample by sample."""
    arrays = [y.double().numpy() for y in logits]
    return [[int(np.argmax(y)) for y in of] for of in (np.mean(arrays, axis=0), *arrays)]


@pytest.mark.parametrize("modalities", [2, 3], ids=["two modalities", "three modalities"])
def test_rates_of_a_trained_network_are_those_of_the_plain_loops(
    trained: dict[int, tuple[MultimodalNetwork, tiny.Split]], modalities: int
) -> None:
    model, split = trained[modalities]
    names, labels = NAMES[modalities], split.labels.tolist()
    with torch.no_grad():
        whole, cut = (classes(model.eval()(split.inputs, how).branches) for how in (Pass(), CUT[modalities]))
    assert whole != cut  # or the rates are all 0

    found = rates(samples(model, split, known(split)), names)

    assert found["accuracy"] == pytest.approx(reference.accuracy(labels, whole[0]))
    utilization = []
    for k, name in enumerate(names, start=1):
        assert found[f"accuracy_{name}"] == pytest.approx(reference.accuracy(labels, whole[k]))
        assert found[f"accuracy_{name}_cut"] == pytest.approx(reference.accuracy(labels, cut[k]))
        utilization.append(reference.utilization(labels, whole[k], cut[k]))
        assert found[f"utilization_{name}"] == pytest.approx(utilization[-1])
    assert found["d_util"] == pytest.approx(reference.difference([u for u in utilization if u is not None]))


def test_predictions_do_not_depend_on_the_batch_size_and_leave_the_network_as_it_was(
    trained: dict[int, tuple[MultimodalNetwork, tiny.Split]],
) -> None:
    model, split = trained[2]
    before = {name: value.clone() for name, value in model.train().state_dict().items()}

    for size in (1, 5, 13):
        table = samples(model, tiny.Split(split.inputs, split.labels, size), known(split))
        for name, how in (("", Pass()), ("_cut", CUT[2])):
            with torch.no_grad():
                expected = classes(model.eval()(split.inputs, how).branches)
            assert [table[c + name].tolist() for c in ("mean", "m0", "m1")] == expected
        assert list(table) == ["split", "id", "label", "mean", "m0", "m1", "mean_cut", "m0_cut", "m1_cut"]
        assert table["id"].tolist() == [f"s{i}" for i in range(13)]
        assert table["label"].tolist() == split.labels.tolist()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_single_modality_is_not_cut(trained: dict[int, tuple[MultimodalNetwork, tiny.Split]]) -> None:
    model, split = trained[1]

    table = samples(model, split, known(split))

    assert list(table) == ["split", "id", "label", "mean", "m0"]
    assert table["mean"].tolist() == table["m0"].tolist()
    assert rates(table, NAMES[1]).keys() == {"accuracy"}


def test_logits_that_are_not_finite_are_refused() -> None:
    model, split = tiny.network(), tiny.split(4, CLARITY[2], 4)

    with pytest.raises(GreedymmError, match="not finite: was it cut before its means were recorded"):
        samples(model, split, known(split))


def test_two_measures_cannot_give_one_value_or_mean_two_things_by_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    both = (*MEASURES, Gates(name="gates"))

    with pytest.raises(GreedymmError, match=r"measure 'gates': values accuracy_m0 exist already"):
        compute_measures(frame(BY_HAND), both, NAMES[2])
    monkeypatch.setattr(sys.modules[__name__], "passes", lambda *_: {"cut": Pass(present=torch.tensor([True, False]))})
    with pytest.raises(GreedymmError, match=r"two measures have different passes 'cut'; rename that of 'gates'"):
        required_passes(tiny.network(), both)


def test_a_measure_adds_columns_of_its_own_from_both_splits(
    trained: dict[int, tuple[MultimodalNetwork, tiny.Split]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, split = trained[2]
    train = tiny.split(26, CLARITY[2], 6)
    numbered = Numbered(name="numbered")
    monkeypatch.setattr(sys.modules[__name__], "passes", lambda *_: {})

    table = predict_split(model.train(), split, known(split), (*MEASURES, numbered), train)

    assert table["mean_number"].tolist() == [26 * i for i in range(13)]
    assert "m1_cut" in table
    with pytest.raises(GreedymmError, match=r"measure 'numbered': columns mean_number exist already; rename them"):
        predict_split(model, split, known(split), (numbered, numbered), train)
    alone, of_one = trained[1]
    assert "mean_number" not in predict_split(alone, of_one, known(of_one), (numbered,), of_one)
