import re
from collections.abc import Sequence

import numpy as np
import pytest
import reference
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.branches.cnn import Settings as Cnn
from greedymm.models.build import build
from greedymm.models.fusions.mmtm import MMTM
from greedymm.models.fusions.mmtm import Settings as Mmtm
from greedymm.models.heads.own import Settings as Own
from greedymm.models.network import MultimodalNetwork, Pass

CLOSE = 1e-5
BRANCH = Cnn(name="cnn", widths=(4, 6, 8))
CLARITY = {"two modalities": (1.0, 0.3), "three modalities": (1.0, 0.3, 0.7)}


def cut(modalities: int) -> Pass:
    return Pass(hears=torch.eye(modalities, dtype=torch.bool))


def trained(clarity: Sequence[float]) -> tuple[MultimodalNetwork, tiny.Split]:
    """A network whose norm layers and running means have seen something, and its training set."""
    torch.manual_seed(0)
    model, train = tiny.network(len(clarity)), tiny.split(13, clarity, 6)  # batches of 6, 6 and 1
    model.train()
    for inputs, _ in train:
        model(inputs)
    return model, train


def plain_logits(
    model: MultimodalNetwork, inputs: Sequence[Tensor], means: dict[int, list[reference.Array]] | None
) -> list[Tensor]:
    """The branches' own layers, gates worked out by the reference; with `means` of each fusion, cut."""
    features = list(inputs)
    for stage in range(3):
        features = [branch(h, stage, stage + 1) for branch, h in zip(model.branches, features, strict=True)]
        if stage > 0:  # fused after the second and the third
            features = _gated(model, stage - 1, features, means)
    pooled = [branch.pool(h) for branch, h in zip(model.branches, features, strict=True)]
    return list(model.head(pooled)[1])


def _gated(
    model: MultimodalNetwork, place: int, features: list[Tensor], means: dict[int, list[reference.Array]] | None
) -> list[Tensor]:
    mmtm = model.fusions[place]
    assert isinstance(mmtm, MMTM)
    layers = [{n: p.double().numpy() for n, p in m.named_parameters()} for m in (mmtm.squeeze, *mmtm.excite)]
    own = [reference.squeezed(h.numpy()) for h in features]
    gated = []
    for k, h in enumerate(features):
        heard = [z if i == k or means is None else np.tile(means[place][i], (len(z), 1)) for i, z in enumerate(own)]
        gate = reference.gates(heard, layers[0], layers[1:])[k]
        gated.append(torch.from_numpy(reference.gated(h.numpy(), gate)).float())
    return gated


def squeezed_of(model: MultimodalNetwork, train: tiny.Split) -> dict[int, list[reference.Array]]:
    """Mean squeezed vector of every branch before every fusion, over the samples one at a time."""
    collected: dict[int, list[list[reference.Array]]] = {place: [] for place in range(len(model.fusions))}
    hooks = [
        fusion.register_forward_pre_hook(
            lambda _, given, place=place: collected[place].append([reference.squeezed(h.numpy()) for h in given[0]])
        )
        for place, fusion in enumerate(model.fusions)
    ]
    for i in range(len(train.labels)):
        model([x[i : i + 1] for x in train.inputs])
    for hook in hooks:
        hook.remove()
    return {
        stage: [np.concatenate(of_branch).mean(axis=0) for of_branch in zip(*of_samples, strict=True)]
        for stage, of_samples in collected.items()
    }


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
@torch.no_grad()
def test_whole_network_equals_the_plain_forward_full_and_cut(clarity: tuple[float, ...]) -> None:
    model, train = trained(clarity)
    inputs = tiny.split(5, clarity, 5, seed=1).inputs
    model.record_means(train)
    means = squeezed_of(model, train)

    for how, heard in ((Pass(), None), (cut(len(clarity)), means)):
        output, expected = model(inputs, how), plain_logits(model, inputs, heard)
        torch.testing.assert_close(output.branches, expected, atol=CLOSE, rtol=CLOSE)
        torch.testing.assert_close(output.logits, torch.stack(expected).mean(dim=0), atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
@torch.no_grad()
def test_recorded_means_are_those_of_the_full_network_over_all_samples(clarity: tuple[float, ...]) -> None:
    model, train = trained(clarity)
    for fusion in model.fusions:
        fusion.get_buffer("squeeze_mean0").fill_(100.0)  # of an earlier recording: must not be heard now

    model.record_means(train)

    for stage, means in squeezed_of(model.eval(), train).items():
        for k, mean in enumerate(means):
            np.testing.assert_allclose(model.fusions[stage].get_buffer(f"squeeze_mean{k}").numpy(), mean, atol=CLOSE)


@torch.no_grad()
def test_recording_changes_nothing_but_what_a_cut_branch_hears() -> None:
    model, train = trained((1.0, 0.3))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    model.record_means(train)

    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "squeeze_mean" in name}


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
@pytest.mark.parametrize("branch", [0, 1], ids=["m0", "m1"])
@torch.no_grad()
def test_cut_branch_of_the_whole_network_is_blind_to_all_other_modalities(
    branch: int, clarity: tuple[float, ...]
) -> None:
    model, train = trained(clarity)
    model.record_means(train)
    inputs, others = (tiny.split(5, clarity, 5, seed=s).inputs for s in (1, 2))
    changed = [x if k == branch else others[k] for k, x in enumerate(inputs)]

    def logits(of: list[Tensor], how: Pass) -> Tensor:
        return model(of, how).branches[branch]  # type: ignore[no-any-return]

    assert not torch.equal(logits(inputs, Pass()), logits(changed, Pass()))
    assert torch.equal(logits(inputs, cut(len(clarity))), logits(changed, cut(len(clarity))))


# -- Absent modalities --------------------------------------------------------------------------------------


@torch.no_grad()
def test_an_absent_modality_is_not_heard_and_has_no_vote() -> None:
    clarity = (1.0, 0.3, 0.7)
    model, train = trained(clarity)
    model.record_means(train)
    inputs, others = (tiny.split(5, clarity, 5, seed=s).inputs for s in (1, 2))
    how = Pass(present=torch.tensor([True, False, True]))

    output, changed = model(inputs, how), model([inputs[0], others[1], inputs[2]], how)

    assert torch.equal(output.logits, changed.logits)
    torch.testing.assert_close(output.logits, (output.branches[0] + output.branches[2]) / 2)
    assert not torch.equal(output.logits, model(inputs).logits)


@torch.no_grad()
def test_modalities_can_be_absent_sample_by_sample() -> None:
    model, train = trained((1.0, 0.3))
    model.record_means(train)
    inputs = tiny.split(3, (1.0, 0.3), 3).inputs
    present = torch.tensor([[True, True], [True, False], [False, True]])

    mixed = model(inputs, Pass(present=present)).logits

    for row, of_sample in enumerate(present):
        torch.testing.assert_close(mixed[row], model(inputs, Pass(present=of_sample)).logits[row])
    torch.testing.assert_close(mixed[0], model(inputs).logits[0])


@torch.no_grad()
def test_without_any_modality_nothing_is_predicted() -> None:
    model, train = trained((1.0, 0.3))
    model.record_means(train)

    output = model(tiny.split(3, (1.0, 0.3), 3).inputs, Pass(present=torch.tensor([False, False])))

    assert torch.equal(output.logits, torch.zeros(3, tiny.CLASSES))


def test_no_gradient_flows_to_the_others_where_they_are_detached() -> None:
    model, _ = trained((1.0, 0.3))
    inputs = [x.requires_grad_() for x in tiny.split(5, (1.0, 0.3), 5).inputs]
    full, detached = model(inputs), model(inputs, Pass(detach=True))

    torch.testing.assert_close(detached.branches, full.branches)
    flows = [torch.autograd.grad(o.branches[0].sum(), inputs[1], allow_unused=True)[0] for o in (full, detached)]
    assert flows[0].abs().max() > 0
    assert flows[1] is None


# -- Groups of parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
def test_every_parameter_is_in_one_group(clarity: tuple[float, ...]) -> None:
    model = tiny.network(len(clarity))
    groups = {name: [id(p) for p in parameters] for name, parameters in model.groups().items()}
    mmtms = [fusion for fusion in model.fusions if isinstance(fusion, MMTM)]

    def ids(*modules: torch.nn.Module) -> list[int]:
        return [id(p) for module in modules for p in module.parameters()]

    assert sorted(p for group in groups.values() for p in group) == sorted(ids(model))
    for k, branch in enumerate(model.branches):
        assert groups[f"branch_{k}.body"] == ids(branch)
        assert groups[f"branch_{k}.head"] == [id(p) for p in model.head.branch_parameters(k)]
        assert groups[f"fusion.side_{k}"] == ids(*(mmtm.excite[k] for mmtm in mmtms))
    assert groups["fusion.shared"] == ids(*(mmtm.squeeze for mmtm in mmtms))
    assert groups["head.shared"] == []


@pytest.mark.parametrize("group", ["head.shared", "branch_2.body", "bodies"])
def test_a_group_that_is_empty_or_unknown_is_refused_and_the_others_are_named(group: str) -> None:
    with pytest.raises(
        GreedymmError, match=rf"no parameters {re.escape(group)}; it has: branch_0\.body, branch_0\.head"
    ):
        tiny.network().group("branch_0.body", group)


# -- Its form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [(0,), (4,), (1, 2, 4)], ids=str)
def test_a_fusion_after_a_stage_that_does_not_exist_is_refused(stages: tuple[int, ...]) -> None:
    with pytest.raises(GreedymmError, match="a branch has stages 1 to 3"):
        build([BRANCH] * 2, Mmtm(name="mmtm"), [stages] * 2, Own(name="own"), (3, 1), tiny.CLASSES)


def test_a_network_of_one_branch_has_no_fusion_and_its_logits_are_those_of_the_branch() -> None:
    model = tiny.network(1)

    output = model(tiny.split(5, (1.0,), 5).inputs)

    assert output.logits.shape == (5, tiny.CLASSES)
    assert torch.equal(output.branches[0], output.logits)
    assert not model.fusions


def test_branches_of_other_kinds_and_depths_are_fused_where_each_says() -> None:
    deep = Cnn(name="cnn", widths=(4, 6, 8, 10))

    model = build([BRANCH, deep], Mmtm(name="mmtm"), [(2, 3), (1, 4)], Own(name="own"), (3, 1), 5)

    output = model([torch.randn(2, 3, 16, 16), torch.randn(2, 1, 16, 16)])
    assert [fusion.squeeze.in_features for fusion in model.fusions] == [6 + 4, 8 + 10]  # type: ignore[union-attr]
    assert [h.shape[1] for h in output.features] == [8, 10]
    output.logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_decision_rule_holds_in_evaluation_alone() -> None:
    model = tiny.network()
    model.decide = lambda output: output.branches[1]
    inputs = tiny.split(5, (1.0, 0.3), 5).inputs

    trained, evaluated = model.train()(inputs), model.eval()(inputs)

    assert torch.equal(trained.logits, torch.stack(trained.branches).mean(dim=0))
    assert torch.equal(evaluated.logits, evaluated.branches[1])
