"""UMT and its teachers against plain loops."""

from pathlib import Path

import pytest
import tiny
import torch
from plain_teachers import CALM, assert_frozen, train_teachers
from torch.nn.functional import cross_entropy

from greedymm.training.methods.umt import Settings

CLARITY = (1.0, 0.3, 0.7)


@pytest.mark.parametrize(("joint", "epochs"), [(False, None), (True, 2)], ids=["own heads", "joint head"])
def test_training_agrees_with_a_plain_loop(tmp_path: Path, epochs: int | None, *, joint: bool) -> None:
    settings = Settings(weight=3.0, teacher_epochs=epochs)
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=CLARITY, training=CALM, joint=joint) for i in range(2)
    )
    teachers = train_teachers(bare, epochs or 4)

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        distances = []
        for k, teach in enumerate(teachers):
            features, _ = teach(step.inputs[k])
            distances.append(((output.features[k] - features) ** 2).sum() / features.numel())
        (cross_entropy(output.logits, step.labels) + 3 * sum(distances)).backward()
        return {f"distance_{k}": d.item() for k, d in enumerate(distances)}

    run.go()

    tiny.assert_agree(run, bare, tiny.bare_loop(bare, differentiate))


def test_teachers_are_frozen_once_they_are_trained(tmp_path: Path) -> None:
    assert_frozen(tmp_path / "r.pt", Settings())


def test_the_teachers_leave_the_network_and_other_generators_as_they_were(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings())
    before = {n: w.clone() for n, w in run.fit.model.state_dict().items()}
    default, order = torch.get_rng_state(), run.streams["order"].get_state()

    run.fit.method.start_epoch(0, run.train, run.val, run.fit.optimizer)

    moved = [n for n, w in run.fit.model.state_dict().items() if not torch.allclose(w, before[n], equal_nan=True)]
    assert moved
    assert all(name.startswith("method.") for name in moved)
    assert torch.equal(torch.get_rng_state(), default)
    assert torch.equal(run.streams["order"].get_state(), order)


def test_features_come_closer_to_the_teachers_with_a_larger_weight(tmp_path: Path) -> None:
    found = []
    for weight in (0.0, 50.0):
        settings = Settings(weight=weight, teacher_epochs=1)
        run = tiny.run(tmp_path / f"{weight}.pt", settings=settings, training=tiny.STEADY)
        found.append(torch.stack(list(run.go().steps[-1].log.values())).mean())

    assert found[1] < 0.5 * found[0]
