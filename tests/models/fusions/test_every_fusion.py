"""What holds for every fusion."""

from pathlib import Path

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.models.network import Pass
from greedymm.params.plugins import names_of
from greedymm.seeding import seed_everything
from greedymm.settings import MethodSettings
from greedymm.training.fit import Fit
from greedymm.training.methods.balanced import Settings as Balanced
from greedymm.training.methods.greedy import Settings as Greedy
from greedymm.training.methods.modality_dropout import Settings as ModalityDropout
from greedymm.training.methods.random import Settings as Random
from greedymm.training.networks import make_method

FUSIONS = names_of("fusion")
MULTI = Greedy(objective="multi")


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("modalities", [2, 3])
def test_every_parameter_is_in_one_group_and_learns(name: str, modalities: int) -> None:
    torch.manual_seed(0)
    model = tiny.fused(name, modalities)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    train = tiny.split(12, (2.0, 1.0, 1.0)[:modalities], 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for inputs, labels in train:
        output = model(inputs)
        optimizer.zero_grad()
        torch.stack([cross_entropy(y, labels) for y in (output.logits, *output.branches)]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    grouped = [id(p) for group in model.groups().values() for p in group]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert [key for key, p in model.named_parameters() if torch.equal(p, before[key])] == []


@pytest.mark.parametrize("name", FUSIONS)
@torch.no_grad()
def test_logits_of_the_network_ignore_an_absent_modality(name: str) -> None:
    model = tiny.fused(name, 3)
    model.record_means(tiny.split(12, (1.0, 0.3, 0.7), 6))
    inputs, others = (tiny.split(5, (1.0, 0.3, 0.7), 5, seed=s).inputs for s in (1, 2))
    how = Pass(present=torch.tensor([True, False, True]))

    assert torch.equal(model(inputs, how).logits, model([inputs[0], others[1], inputs[2]], how).logits)
    assert not torch.equal(model(inputs, how).logits, model(inputs).logits)


@pytest.mark.parametrize("name", FUSIONS)
def test_speeds_are_measured_only_where_branches_hear_each_other(name: str, tmp_path: Path) -> None:
    streams = seed_everything(0)
    model = tiny.fused(name)
    method = make_method(MULTI, model, streams["method"])

    fit = Fit(model, method, tiny.TRAINING, streams, tmp_path / "r.pt", {})

    assert (fit.speed is not None) == (name == "mmtm")


@pytest.mark.parametrize("name", [name for name in FUSIONS if name != "mmtm"])
@pytest.mark.parametrize("method", [Balanced(objective="multi"), Random(objective="multi")], ids=["balanced", "random"])
def test_re_balancing_steps_are_refused_before_training(name: str, method: MethodSettings) -> None:
    with pytest.raises(GreedymmError, match=r"method '(balanced|random)'.* (needs passes with mode|no parameters)"):
        make_method(method, tiny.fused(name), torch.Generator())


@pytest.mark.parametrize("name", ["concat", "film", "gated", "gmu", "lmf", "centralnet"])
def test_losses_of_branches_alone_are_refused_where_they_do_not_train_the_networks_logits(name: str) -> None:
    with pytest.raises(GreedymmError, match="set `objective: joint` or `multi`"):
        make_method(Greedy(), tiny.fused(name), torch.Generator())


@pytest.mark.parametrize("name", FUSIONS)
def test_absent_modalities_and_cut_branches_are_supported(name: str) -> None:
    model = tiny.fused(name)
    make_method(ModalityDropout(objective="multi"), model, torch.Generator())
    model.require(frozenset({"present", "hears", "detach", "alone"}), "a measure")
