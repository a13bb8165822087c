from collections.abc import Sequence

import numpy as np
import pytest
import reference
import tiny
import torch
from torch import Tensor

from greedymm.errors import GreedymmError
from greedymm.models.branches import cnn
from greedymm.models.fusion.mmtm import MMTM
from greedymm.models.multistream import MultiStream, prediction
from greedymm.params import Cnn

CLOSE = 1e-5
CLARITY = {"two modalities": (1.0, 0.3), "three modalities": (1.0, 0.3, 0.7)}


def trained(clarity: Sequence[float]) -> tuple[MultiStream, tiny.Split]:
    """A network whose norm layers and running means have seen something, and its training set."""
    torch.manual_seed(0)
    model, train = tiny.network(len(clarity)), tiny.split(13, clarity, 6)  # batches of 6, 6 and 1
    model.train()
    for inputs, _ in train:
        model(inputs)
    return model, train


def plain_logits(
    model: MultiStream, inputs: Sequence[Tensor], means: dict[int, list[reference.Array]] | None
) -> list[Tensor]:
    """The branches' own layers, gates worked out by the reference; with `means` by stage, cut."""
    features = list(inputs)
    for stage in range(1, model.depth + 1):
        features = [model.streams[k].stages[stage - 1](h) for k, h in enumerate(features)]
        if str(stage) in model.fusions:
            features = _gated(model, stage, features, means)
    return [model.streams[k].head(h) for k, h in enumerate(features)]


def _gated(
    model: MultiStream, stage: int, features: list[Tensor], means: dict[int, list[reference.Array]] | None
) -> list[Tensor]:
    mmtm = model.fusions[str(stage)]
    assert isinstance(mmtm, MMTM)
    layers = [{n: p.double().numpy() for n, p in m.named_parameters()} for m in (mmtm.squeeze, *mmtm.excite)]
    own = [reference.squeezed(h.numpy()) for h in features]
    gated = []
    for k, h in enumerate(features):
        heard = [z if i == k or means is None else np.tile(means[stage][i], (len(z), 1)) for i, z in enumerate(own)]
        gate = reference.gates(heard, layers[0], layers[1:])[k]
        gated.append(torch.from_numpy(reference.gated(h.numpy(), gate)).float())
    return gated


def squeezed_of(model: MultiStream, train: tiny.Split) -> dict[int, list[reference.Array]]:
    """Mean squeezed vector of every branch before every fusion, over the samples one at a time."""
    collected: dict[int, list[list[reference.Array]]] = {int(stage): [] for stage in model.fusions}
    hooks = [
        fusion.register_forward_pre_hook(
            lambda _, given, stage=int(stage): collected[stage].append(
                [reference.squeezed(h.numpy()) for h in given[0]]
            )
        )
        for stage, fusion in model.fusions.items()
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
def test_whole_network_equals_the_plain_forward_un_cut_and_cut(clarity: tuple[float, ...]) -> None:
    model, train = trained(clarity)
    inputs = tiny.split(5, clarity, 5, seed=1).inputs
    model.record_means(train)
    means = squeezed_of(model, train)

    for cut in (False, True):
        for found, wanted in zip(
            model(inputs, cut=cut), plain_logits(model, inputs, means if cut else None), strict=True
        ):
            torch.testing.assert_close(found, wanted, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
@torch.no_grad()
def test_recorded_means_are_those_of_the_un_cut_network_over_all_samples(clarity: tuple[float, ...]) -> None:
    model, train = trained(clarity)
    for fusion in model.fusions.values():
        fusion.get_buffer("heard0").fill_(100.0)  # of an earlier recording: must not be heard now

    model.record_means(train)

    for stage, means in squeezed_of(model.eval(), train).items():
        for k, mean in enumerate(means):
            np.testing.assert_allclose(model.fusions[str(stage)].get_buffer(f"heard{k}").numpy(), mean, atol=CLOSE)


@torch.no_grad()
def test_recording_changes_nothing_but_what_a_cut_branch_hears() -> None:
    model, train = trained((1.0, 0.3))
    before = {name: value.clone() for name, value in model.state_dict().items()}

    model.record_means(train)

    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "heard" in name}


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

    assert not torch.equal(model(inputs)[branch], model(changed)[branch])
    assert torch.equal(model(inputs, cut=True)[branch], model(changed, cut=True)[branch])


@torch.no_grad()
def test_a_cut_network_without_recorded_means_gives_nan() -> None:
    model, _ = trained((1.0, 0.3))

    assert all(y.isnan().all() for y in model.eval()(tiny.split(5, (1.0, 0.3), 5).inputs, cut=True))


def test_prediction_is_the_mean_of_the_branches_logits() -> None:
    logits = [torch.tensor([[1.0, 5.0, 0.0]]), torch.tensor([[3.0, -1.0, 1.0]])]

    assert prediction(logits).tolist() == [[2.0, 2.0, 0.5]]


@pytest.mark.parametrize("clarity", CLARITY.values(), ids=CLARITY.keys())
def test_parameters_of_branches_and_fusions_are_told_apart_and_all_there(clarity: tuple[float, ...]) -> None:
    model = tiny.network(len(clarity))
    names = {id(p): n for n, p in model.named_parameters()}

    for k in range(len(clarity)):
        of_branch = {names[id(p)] for p in model.branch_parameters(k)}
        of_fusion = {names[id(p)] for p in model.fusion_parameters(k)}
        assert of_branch == {n for n in names.values() if n.startswith(f"branches.{k}.")}
        assert of_fusion == {n for n in names.values() if f".excite.{k}." in n or ".squeeze." in n}


@pytest.mark.parametrize("stages", [(0,), (4,), (1, 2, 4)], ids=str)
def test_a_fusion_after_a_stage_that_is_not_there_is_refused(stages: tuple[int, ...]) -> None:
    branches = [cnn.build(Cnn(name="cnn", widths=(4, 6, 8)), channels, tiny.CLASSES) for channels in (3, 1)]

    with pytest.raises(GreedymmError, match="the branches have stages 1 to 3"):
        MultiStream(branches, MMTM, stages)


def test_a_network_of_one_branch_has_no_fusion_and_trains_on_its_own_logits() -> None:
    model = tiny.network(1)
    inputs = tiny.split(5, (1.0,), 5).inputs

    (logits,) = model(inputs)

    assert logits.shape == (5, tiny.CLASSES)
    assert torch.equal(prediction([logits]), logits)
    assert not model.fusions
