"""PMR against a plain loop, written from the formulas; its prototypes by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import cross_entropy

from greedymm.settings import Window
from greedymm.training.methods.pmr import Settings, pulls

SETTINGS = Settings(alpha=0.4, mu=0.05, momentum=0.3, share=0.4, entropy=Window(stop=3))
EPOCH = tiny.STEADY.model_copy(update={"epochs": 1, "snapshots": ()})


def plain_prototypes(run: tiny.Run, before: list[dict[int, Tensor]] | None) -> list[dict[int, Tensor]]:
    """Prototypes of each class and branch: before the first epoch, or from those of the previous one."""
    count = math.ceil(0.4 * run.train.count)
    rows = torch.randperm(run.train.count, generator=run.streams["method"])[:count]
    labels = run.train.labels[rows].tolist()
    with torch.no_grad():
        features = run.fit.model.eval()([x[rows] for x in run.train.inputs]).features
    run.fit.model.train()
    found: list[dict[int, Tensor]] = []
    for k, h in enumerate(features):
        found.append({})
        for y in range(tiny.CLASSES):
            own = [h[i].double() for i, label in enumerate(labels) if label == y]
            new = torch.stack(own).mean(dim=0) if own else None
            if before is None:
                found[k][y] = h.double().mean(dim=0) if new is None else new
            else:
                found[k][y] = before[k][y] if new is None else 0.3 * before[k][y] + 0.7 * new
    return found


def plain_terms(h: Tensor, labels: Tensor, prototypes: dict[int, Tensor]) -> tuple[Tensor, Tensor, float]:
    """LP, H and T of one branch."""
    losses, entropies, total = [], [], 0.0
    for features, label in zip(h.double(), labels.tolist(), strict=True):
        distances = torch.stack([(features - prototypes[y]).norm() for y in range(tiny.CLASSES)])
        p = (-distances).softmax(dim=0)
        losses.append(-p[label].log())
        entropies.append(-(p * p.log()).sum())
        total += float(p[label].detach())
    return torch.stack(losses).mean(), torch.stack(entropies).mean(), total


def plain_weights(totals: list[float]) -> tuple[list[float], list[float]]:
    """w_k and e_k."""
    w = [min(max(max(totals) / t - 1, 0.0), 1.0) for t in totals]
    return w, [max(w) if t == max(totals) else 0.0 for t in totals]


@pytest.mark.parametrize("clarity", [(2.0, 0.1), (1.0, 0.3, 2.0)], ids=["two modalities", "three modalities"])
def test_training_is_that_of_a_plain_loop(tmp_path: Path, clarity: tuple[float, ...]) -> None:
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=SETTINGS, clarity=clarity, training=tiny.STEADY) for i in range(2)
    )
    prototypes: Any = None

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        nonlocal prototypes
        if step.number == 0:
            prototypes = plain_prototypes(bare, prototypes)
        output = step.model(step.inputs)
        terms = [plain_terms(h, step.labels, c) for h, c in zip(output.features, prototypes, strict=True)]
        w, e = plain_weights([total for _, _, total in terms])
        e = e if step.epoch < 3 else [0.0] * len(e)
        loss = cross_entropy(output.logits, step.labels)
        for k, (distance, entropy, _) in enumerate(terms):
            loss = loss + 0.4 * w[k] * distance - 0.05 * e[k] * entropy
        loss.backward()  # type: ignore[no-untyped-call]
        return {f"pull_{k}": x for k, x in enumerate(w)} | {f"entropy_{k}": x for k, x in enumerate(e)}

    rows = tiny.bare_loop(bare, differentiate)
    run.go()

    tiny.assert_agree(run, bare, rows)


def test_the_branch_that_is_behind_is_pulled_and_the_other_one_stays_uncertain(tmp_path: Path) -> None:
    settings = Settings(alpha=0.1, share=1.0)
    steps = tiny.run(tmp_path / "r.pt", settings=settings, clarity=(5.0, 0.1)).go().steps[1:]

    pull, entropy = (
        [float(sum(s.log[f"{name}_{k}"].sum() for s in steps)) for k in range(2)] for name in ("pull", "entropy")
    )

    assert pull[1] > 5 * pull[0]
    assert entropy[0] > 5 * entropy[1]


def test_weights_are_soft_and_a_tie_has_none() -> None:
    w, e = pulls(torch.tensor([0.5, 0.4, 0.1]))

    assert w.tolist() == pytest.approx([0, 0.25, 1])
    assert e.tolist() == [1, 0, 0]
    assert all(x.tolist() == [0, 0] for x in pulls(torch.tensor([0.3, 0.3])))
    assert all(x.isfinite().all() for x in pulls(torch.zeros(2)))


def test_a_class_without_samples_keeps_its_prototype_or_has_the_mean_of_all(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(share=1.0, momentum=0.5))
    method: Any = run.fit.method
    without, never = (tiny.Split(run.train.inputs, run.train.labels.clamp(max=c), 6) for c in (1, 0))

    method.start_epoch(0, never, run.val, run.fit.optimizer)
    first = method.prototypes[0].clone()
    method.start_epoch(1, without, run.val, run.fit.optimizer)
    second = method.prototypes[0].clone()
    method.start_epoch(2, never, run.val, run.fit.optimizer)

    torch.testing.assert_close(first[1], first[0])  # the mean of all
    assert not torch.equal(second[1], first[1])
    assert torch.equal(method.prototypes[0][1], second[1])
    assert all(c.isfinite().all() for c in method.prototypes)


def test_a_sample_at_its_prototype_has_a_finite_gradient(tmp_path: Path) -> None:
    method: Any = tiny.run(tmp_path / "r.pt", settings=Settings()).fit.method
    h = [c[:2].clone().requires_grad_() for c in method.prototypes]

    output = method.network([torch.zeros(2, c, 8, 8) for c in tiny.CHANNELS[:2]])._replace(features=h)
    torch.stack(method.compare(output, torch.tensor([0, 1]))).sum().backward()  # type: ignore[no-untyped-call]

    assert all(x.grad.isfinite().all() for x in h)


def test_prototypes_leave_norms_and_running_means_as_they_were_and_read_no_other_split(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=SETTINGS)
    before = {name: x.clone() for name, x in run.fit.model.state_dict().items()}
    state = torch.get_rng_state()

    run.fit.method.start_epoch(0, run.train, None, run.fit.optimizer)  # type: ignore[arg-type]

    for name, x in run.fit.model.state_dict().items():
        torch.testing.assert_close(x, before[name], rtol=0, atol=0, equal_nan=True, msg=name)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_absent_modality_is_not_compared(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(share=1.0))
    method: Any = run.fit.method
    method.start_epoch(0, run.train, run.val, run.fit.optimizer)
    inputs, labels = next(iter(run.train))
    output = run.fit.model(inputs)
    half = torch.tensor([[True, i < 3] for i in range(6)])

    found = method.compare(output._replace(present=half), labels)
    some = method.compare(output._replace(features=[h[:3] for h in output.features]), labels[:3])
    everyone = method.compare(output, labels)

    for masked, first, whole in zip(found, some, everyone, strict=True):
        torch.testing.assert_close(masked, torch.stack([whole[0], first[1]]))


def test_an_entropy_that_never_acts_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"entropy.stop 2 is before active.start 4"):
        Settings(active=Window(start=4), entropy=Window(stop=2))
