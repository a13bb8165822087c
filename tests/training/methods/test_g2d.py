"""G2D against a plain loop; which branches are stopped, and when."""

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from plain_teachers import CALM, assert_frozen, train_teachers
from torch.nn.functional import cross_entropy

from greedymm.training.methods.g2d import Settings, divergences, released, scales

CLARITY = (1.0, 0.3, 2.0)
SETTINGS = Settings(logits=0.5, features=2.0, temperature=2.0, share=0.75, teacher_epochs=2)


@pytest.mark.parametrize("clarity", [CLARITY[:2], CLARITY], ids=["two modalities", "three modalities"])
def test_training_agrees_with_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=clarity, training=CALM) for i in range(2))
    teachers, count = train_teachers(bare, 2), len(clarity)
    learning = {2: [1, 1, 1, 2], 3: [1, 1, 2, 3]}[count]  # of four epochs, all branches learn in the last one

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        row: tiny.Row = {}
        output, scores = step.model(step.inputs), []
        loss = cross_entropy(output.logits, step.labels)
        for k, teach in enumerate(teachers):
            features, logits = teach(step.inputs[k])
            p, q = ((y / 2).exp() / (y / 2).exp().sum(dim=1, keepdim=True) for y in (logits, output.logits))
            divergence = 4 * (p * (p / q).log()).sum() / len(step.labels)
            distance = ((output.features[k] - features) ** 2).mean()
            loss = loss + 0.5 * divergence + 2 * distance
            scores.append(np.mean([y.softmax(0)[label].item() for y, label in zip(logits, step.labels, strict=True)]))
            row |= {f"divergence_{k}": divergence.item(), f"distance_{k}": distance.item()}
        loss.backward()  # type: ignore[no-untyped-call]
        for position, k in enumerate(np.argsort(scores)):
            row[f"scale_{k}"] = float(position < learning[step.epoch])
            if not row[f"scale_{k}"]:
                for p in step.model.branches[k].parameters():
                    p.grad = torch.zeros_like(p)
        return row

    run.go()

    tiny.assert_agree(run, bare, tiny.bare_loop(bare, differentiate))


def test_the_branch_with_the_better_teacher_is_stopped_in_the_first_half(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(), clarity=(5.0, 0.0), training=CALM)
    before = [p.clone() for p in run.fit.model.branches[0].parameters()]

    run.fit.run_epoch(run.train, run.val)
    run.fit.run_epoch(run.train, run.val)
    stopped = [torch.equal(p, q) for p, q in zip(run.fit.model.branches[0].parameters(), before, strict=True)]
    run.go()

    assert all(stopped)  # bias and norms as well
    scales = [[float(s.log[f"scale_{k}"].mean()) for k in range(2)] for s in run.fit.progress.steps]
    assert scales == [[0, 1], [0, 1], [1, 1], [1, 1]]


def test_teachers_are_frozen_once_they_are_trained(tmp_path: Path) -> None:
    assert_frozen(tmp_path / "r.pt", SETTINGS)


def test_a_tie_stops_no_branch() -> None:
    assert scales(torch.tensor([0.4, 0.4]), 1).tolist() == [1, 1]
    assert scales(torch.tensor([0.4, 0.4, 0.2]), 1).tolist() == [0, 0, 1]
    assert scales(torch.tensor([0.4, 0.4, 0.2]), 2).tolist() == [1, 1, 1]


def test_branches_are_released_from_weak_to_strong() -> None:
    assert [released(epoch, 6.0, 3) for epoch in range(8)] == [1, 1, 1, 2, 2, 2, 3, 3]
    assert [scales(torch.tensor([0.9, 0.1, 0.5]), count).tolist() for count in (1, 2, 3)] == [
        [0, 1, 0],
        [0, 1, 1],
        [1, 1, 1],
    ]
    assert released(0, 0.0, 3) == 3  # never stopped


def test_a_teacher_that_is_certain_gives_a_finite_divergence_and_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)

    found = divergences(logits, [torch.tensor([[1e4, 0.0, 0.0], [0.0, -1e4, 0.0]])], 1.0)
    found.sum().backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(found, torch.tensor([(np.log(3) + np.log(1.5)) / 2], dtype=torch.float32))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
