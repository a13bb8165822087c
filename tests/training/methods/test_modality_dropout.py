from pathlib import Path

import pytest
import tiny
import torch

from greedymm.models.network import Pass
from greedymm.training.methods.modality_dropout import Settings, draw_present


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
