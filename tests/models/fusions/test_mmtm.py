from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import reference
import torch
from torch import Tensor, nn

from greedymm.errors import GreedymmError
from greedymm.models.fusions.mmtm import MMTM, build
from greedymm.models.fusions.mmtm import Settings as Mmtm

SPACES = [(5, 5), (3, 5, 5)]
SHAPES = ["image", "clip"]
CLOSE = 1e-6


def features(channels: Sequence[int], space: Sequence[int] = (5, 5), count: int = 4, seed: int = 0) -> list[Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return [torch.randn(count, c, *space, generator=draws) for c in channels]


def fresh(channels: Sequence[int], *, official_gates: bool = False) -> MMTM:
    torch.manual_seed(0)
    return MMTM(channels, official_gates=official_gates)


def weights(layer: nn.Module) -> dict[str, reference.Array]:
    return {name: p.detach().double().numpy() for name, p in layer.named_parameters()}


def plain_gates(mmtm: MMTM, given: Sequence[Tensor]) -> list[reference.Array]:
    heard = [reference.squeezed(h.numpy()) for h in given]
    return reference.gates(heard, weights(mmtm.squeeze), [weights(e) for e in mmtm.excite])


def cut(given: list[Tensor]) -> Tensor:
    """Each branch hears itself alone."""
    return torch.eye(len(given), dtype=torch.bool).unsqueeze(0)


def mode(number: int) -> Tensor:
    return torch.tensor(number)


# -- Fusion -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=SHAPES)
@pytest.mark.parametrize("channels", [(8, 4), (8, 4, 6)], ids=["two modalities", "three modalities"])
def test_every_branch_is_multiplied_by_its_gate(channels: tuple[int, ...], space: tuple[int, ...]) -> None:
    mmtm, given = fresh(channels), features(channels, space)

    for h, gate, out in zip(given, plain_gates(mmtm, given), mmtm(given), strict=True):
        np.testing.assert_allclose(out.detach().numpy(), reference.gated(h.numpy(), gate), atol=CLOSE)


@pytest.mark.parametrize(("channels", "ratio", "width"), [((8, 4), 4, 6), ((8, 4, 6), 4, 9), ((8, 4), 2, 12)], ids=str)
def test_joint_vector_has_twice_the_channels_over_the_ratio(channels: tuple[int, ...], ratio: int, width: int) -> None:
    mmtm = build(Mmtm(name="mmtm", ratio=ratio), channels)

    assert mmtm.squeeze.weight.shape == (width, sum(channels))
    assert [tuple(p.shape) for p in mmtm.branch_parameters(1)] == [(channels[1], width), (channels[1],)]


def test_a_ratio_that_leaves_no_joint_vector_is_refused() -> None:
    with pytest.raises(GreedymmError, match=r"ratio 25 .*12 channels; lower it"):
        MMTM((8, 4), ratio=25)


# -- Cutting the cross-modal flow ---------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=SHAPES)
@pytest.mark.parametrize("branch", [0, 1], ids=["m0", "m1"])
def test_cut_branch_is_blind_to_the_other_modality(branch: int, space: tuple[int, ...]) -> None:
    mmtm = fresh((8, 4)).eval()
    for k in range(2):
        mmtm.get_buffer(f"squeeze_mean{k}").normal_()  # as if recorded over a training set
    given, others = features((8, 4), space), features((8, 4), space, seed=1)
    changed = [given[k] if k == branch else others[k] for k in range(2)]

    assert not torch.equal(mmtm(given)[branch], mmtm(changed)[branch])
    assert torch.equal(mmtm(given, cut(given))[branch], mmtm(changed, cut(changed))[branch])


def test_cut_branch_hears_itself_and_the_means_of_all_others() -> None:
    channels = (8, 4, 6)
    mmtm, given = fresh(channels).eval(), features(channels)
    means = [torch.randn(c) for c in channels]
    for k, mean in enumerate(means):
        mmtm.get_buffer(f"squeeze_mean{k}").copy_(mean)

    found = mmtm(given, cut(given))

    for k, h in enumerate(given):
        heard = [
            reference.squeezed(x.numpy()) if i == k else np.tile(means[i].double().numpy(), (len(x), 1))
            for i, x in enumerate(given)
        ]
        gate = reference.gates(heard, weights(mmtm.squeeze), [weights(e) for e in mmtm.excite])[k]
        np.testing.assert_allclose(found[k].detach().numpy(), reference.gated(h.numpy(), gate), atol=CLOSE)


def test_a_cut_before_the_means_are_recorded_gives_nan() -> None:
    mmtm, given = fresh((8, 4)).eval(), features((8, 4))

    assert all(out.isnan().all() for out in mmtm(given, cut(given)))
    assert all(out.isfinite().all() for out in mmtm(given))


def test_in_training_a_cut_branch_hears_running_means_that_begin_with_the_first_batch() -> None:
    mmtm = fresh((8, 4)).train()
    mmtm.tracks_means = True
    expected: Any = None
    for seed in range(3):
        given = features((8, 4), seed=seed)
        mmtm(given)
        batch = reference.squeezed(given[1].numpy()).mean(axis=0)
        expected = batch if expected is None else 0.9 * expected + 0.1 * batch  # as in batch norm

    np.testing.assert_allclose(mmtm.get_buffer("squeeze_mean1").numpy(), expected, atol=CLOSE)


def test_a_branch_hears_the_others_sample_by_sample() -> None:
    mmtm, given = fresh((8, 4)).eval(), features((8, 4), count=3)
    mmtm.get_buffer("squeeze_mean1").normal_()
    heard = torch.tensor([[[True, True], [True, True]], [[True, False], [True, True]], [[True, True], [True, True]]])

    found, full, cut_off = mmtm(given, heard), mmtm(given), mmtm(given, cut(given))

    assert torch.equal(found[0][[0, 2]], full[0][[0, 2]])
    torch.testing.assert_close(found[0][1], cut_off[0][1])
    torch.testing.assert_close(found[1], full[1])


@pytest.mark.parametrize("space", SPACES, ids=SHAPES)
def test_recorded_means_are_those_over_all_samples_of_the_last_recording(space: tuple[int, ...]) -> None:
    mmtm, given = fresh((8, 4)).eval(), features((8, 4), space, count=7)
    for inputs in (features((8, 4), space, seed=1), given):  # the second recording replaces the first one
        mmtm(features((8, 4), space, seed=2))
        mmtm.start_recording()
        for rows in torch.split(torch.arange(len(inputs[0])), 3):  # unequal batches
            mmtm([h[rows] for h in inputs])
        mmtm.finish_recording()
    mmtm(features((8, 4), space, seed=3))

    for k, h in enumerate(given):
        plain = np.mean([reference.squeezed(sample.numpy()[None])[0] for sample in h], axis=0)
        np.testing.assert_allclose(mmtm.get_buffer(f"squeeze_mean{k}").numpy(), plain, atol=CLOSE)


# -- Re-balancing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", [0, 1, 2], ids=["m0", "m1", "m2"])
def test_re_balancing_replaces_one_gate_by_its_running_mean_and_no_other(branch: int) -> None:
    channels = (8, 4, 6)
    mmtm = fresh(channels).train()
    seen = [features(channels, seed=s) for s in range(3)]
    for given in seen[:-1]:
        mmtm(given)
    of_steps = [plain_gates(mmtm, given) for given in seen]

    found = mmtm(seen[-1], mode=mode(branch + 1))

    mean_gate = reference.running_means([g[branch] for g in of_steps])[-1]  # this step's gate included
    for k, h in enumerate(seen[-1]):
        gate = np.tile(mean_gate, (len(h), 1)) if k == branch else of_steps[-1][k]
        np.testing.assert_allclose(found[k].detach().numpy(), reference.gated(h.numpy(), gate), atol=CLOSE)


@pytest.mark.parametrize("branch", [0, 1], ids=["m0", "m1"])
def test_no_gradient_flows_through_the_running_mean(branch: int) -> None:
    mmtm, given = fresh((8, 4)), [h.requires_grad_() for h in features((8, 4))]
    found = mmtm(given, mode=mode(branch + 1))
    constant = mmtm.gate_mean(branch).float().clone()
    by_hand = [
        h
        * (constant.expand(4, -1) if k == branch else mmtm.gate(k, [x.mean(dim=(2, 3)) for x in given]))[
            ..., None, None
        ]
        for k, h in enumerate(given)
    ]
    inputs_of_gradients = [*given, *mmtm.shared_parameters(), *mmtm.branch_parameters(1 - branch)]

    gradients, expected = (
        torch.autograd.grad(torch.stack([out.square().sum() for out in outs]).sum(), inputs_of_gradients)
        for outs in (found, by_hand)
    )

    for g, w in zip(gradients, expected, strict=True):
        torch.testing.assert_close(g, w)


# -- Running means ------------------------------------------------------------------------------------------


def running_means(mmtm: MMTM) -> list[npt.NDArray[np.float64]]:
    return [mmtm.gate_mean(k).numpy().copy() for k in range(len(mmtm.excite))]


@pytest.mark.parametrize("modes", [(0, 0, 0), (0, 1, 2)], ids=["regular", "re-balancing too"])
def test_running_means_are_plain_averages_over_all_training_steps(modes: tuple[int, ...]) -> None:
    mmtm = fresh((8, 4)).train()
    batches = [features((8, 4), seed=s, count=2 + s) for s in range(len(modes))]
    for given, number in zip(batches, modes, strict=True):
        mmtm(given, mode=mode(number))

    for k, found in enumerate(running_means(mmtm)):
        gates = [plain_gates(mmtm, given)[k] for given in batches]
        np.testing.assert_allclose(found, reference.running_means(gates)[-1], atol=CLOSE)


def test_running_means_move_in_training_only() -> None:
    mmtm = fresh((8, 4)).train()
    mmtm(features((8, 4)))
    before = running_means(mmtm)

    mmtm.eval()(features((8, 4), seed=1))
    after_evaluation = running_means(mmtm)
    mmtm.train()(features((8, 4), seed=1))

    for out, regular in zip(mmtm.eval()(features((8, 4)), mode=mode(0)), mmtm(features((8, 4))), strict=True):
        assert torch.equal(out, regular)
    for old, same, new in zip(before, after_evaluation, running_means(mmtm), strict=True):
        assert np.array_equal(old, same)
        assert not np.array_equal(old, new)


def test_running_means_are_saved_with_the_weights_and_go_on_from_there() -> None:
    first, copy = fresh((8, 4)).train(), MMTM((8, 4)).train()
    for seed in range(2):
        first(features((8, 4), seed=seed))

    copy.load_state_dict(first.state_dict())
    for mmtm in (first, copy):
        mmtm(features((8, 4), seed=2))

    for a, b in zip(running_means(first), running_means(copy), strict=True):
        assert np.array_equal(a, b)


# -- The authors' gates -------------------------------------------------------------------------------------


def test_official_gates_follow_the_gate_of_modality_0_in_every_running_mean() -> None:
    ours, official = (fresh((4, 4), official_gates=o).train() for o in (False, True))
    batches = [features((4, 4), seed=s) for s in range(3)]
    for mmtm in (ours, official):
        for given in batches:
            mmtm(given)

    expected = reference.running_means([plain_gates(official, given)[0] for given in batches])[-1]
    for found in running_means(official):
        np.testing.assert_allclose(found, expected, atol=CLOSE)
    assert not np.allclose(running_means(ours)[1], expected, atol=CLOSE)


def test_official_gates_of_branches_of_unequal_width_are_refused() -> None:
    with pytest.raises(GreedymmError, match=r"official_gates needs branches of equal width, not \[8, 4\]"):
        MMTM((8, 4), official_gates=True)
