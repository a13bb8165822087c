"""Modality dropout against a plain loop, sample by sample, and its draws."""

from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from greedymm.models.network import Pass
from greedymm.training.methods.modality_dropout import Settings, draw_present


class Plain:
    """A plain step of epochs 1 and 2 of 4; the draws are those of the method's generator."""

    def __init__(self, run: tiny.Run, mask: str, objective: str) -> None:
        self.generator, self.mask, self.objective = run.streams["method"], mask, objective

    def __call__(self, step: tiny.BareStep) -> tiny.Row:
        branches = range(len(step.inputs))
        if step.number == 0:
            self.drawn = draw_present(5 * 6, len(branches), 0.5, self.generator).view(5, 6, -1)
        kept = self.drawn[step.number][: len(step.labels)].tolist()
        if step.epoch not in (1, 2):
            kept = [[True for _ in branches] for _ in step.labels]
        row = {f"absent_{k}": 1 - sum(of_sample[k] for of_sample in kept) / len(kept) for k in branches}
        if self.mask == "input":
            inputs = [
                torch.stack([x[i] if kept[i][k] else torch.zeros_like(x[i]) for i in range(len(kept))])
                for k, x in enumerate(step.inputs)
            ]
            output, kept = step.model(inputs), [[True for _ in branches] for _ in step.labels]
        else:
            output = step.model(step.inputs, Pass(present=torch.tensor(kept)))
        self.loss(output.branches, step.labels.tolist(), kept).backward()  # type: ignore[no-untyped-call]
        return row

    def loss(self, logits: list[Tensor], labels: list[int], kept: list[list[bool]]) -> Tensor:
        total = torch.zeros(())
        for i, label in enumerate(labels):
            votes = torch.stack([y[i] * kept[i][k] for k, y in enumerate(logits)])  # absent: a gradient of 0
            total = total - (votes.sum(dim=0) / sum(kept[i])).log_softmax(dim=0)[label] / len(labels)
            for k in range(len(logits) if self.objective == "multi" else 0):
                share = kept[i][k] / max(sum(of_sample[k] for of_sample in kept), 1)
                total = total - share * logits[k][i].log_softmax(dim=0)[label]
        return total


@pytest.mark.parametrize("mask", ["cut", "input"])
@pytest.mark.parametrize(
    ("clarity", "objective"),
    [((1.0, 0.3), "multi"), ((1.0, 0.3, 2.0), "joint")],
    ids=["two modalities", "three modalities"],
)
def test_training_is_that_of_a_plain_loop(
    tmp_path: Path, clarity: tuple[float, ...], objective: str, mask: str
) -> None:
    settings = Settings.model_validate(
        {"p": 0.5, "mask": mask, "objective": objective, "active": {"start": 2, "stop": 3}}
    )
    training = tiny.STEADY.model_copy(update={"learning_rate": 0.02})  # rounding errors do not grow
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=clarity, training=training) for i in range(2)
    )

    rows = tiny.bare_loop(bare, Plain(bare, mask, objective))
    run.go()

    tiny.assert_agree(run, bare, rows)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("modalities", [2, 3])
def test_modalities_are_present_with_their_probability_and_never_all_absent(p: float, modalities: int) -> None:
    present = draw_present(20_000, modalities, p, torch.Generator().manual_seed(0))

    assert present.any(dim=1).all()
    expected = (1 - p) / (1 - p**modalities)  # given that one is there
    spread = (expected * (1 - expected) / 20_000) ** 0.5
    assert (present.double().mean(dim=0) - expected).abs().max() < 4 * spread


@pytest.mark.parametrize("mask", ["cut", "input"])
def test_absent_modalities_are_masked_in_training_alone(tmp_path: Path, mask: str) -> None:
    run = tiny.run(tmp_path / "r.pt", "modality_dropout", Settings.model_validate({"p": 0.5, "mask": mask}))
    seen: list[tuple[bool, Pass, bool]] = []

    def watch(module: torch.nn.Module, given: tuple[list[torch.Tensor], Pass]) -> None:
        how = given[1] if len(given) > 1 else Pass()
        zeros = any(bool((x.flatten(1) == 0).all(dim=1).any()) for x in given[0])
        seen.append((module.training, how, zeros))

    run.fit.model.register_forward_pre_hook(watch)
    run.go()

    in_training = [(how.present is not None, zeros) for training, how, zeros in seen if training]
    assert len(in_training) == 20
    if mask == "cut":
        assert all(masked and not zeros for masked, zeros in in_training)
    else:
        assert sum(zeros for _, zeros in in_training) > 10
        assert not any(masked for masked, _ in in_training)
    assert not any(how.present is not None or zeros for training, how, zeros in seen if not training)


def test_the_two_masks_train_other_networks(tmp_path: Path) -> None:
    losses = [
        tiny.run(tmp_path / f"{m}.pt", "modality_dropout", Settings.model_validate({"p": 0.5, "mask": m})).go().steps
        for m in ("cut", "input")
    ]

    assert not torch.equal(losses[0][-1].loss, losses[1][-1].loss)


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_probability_outside_of_its_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="p"):
        Settings(p=p)
