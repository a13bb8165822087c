import pytest
import tiny
import torch
from torch import Tensor

from greedymm.modalities import modality_gap
from greedymm.training.speed import ConditionalLearningSpeed

REGULAR, RE_BALANCING = torch.tensor(True), torch.tensor(False)


def after_backward(modalities: int = 2) -> tuple[ConditionalLearningSpeed, list[list[torch.nn.Parameter]]]:
    """Speeds of a network with a gradient of 1 everywhere, and its groups: branches, then their fusions."""
    torch.manual_seed(0)
    model = tiny.network(modalities)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    branches = [model.group(f"branch_{k}.body", f"branch_{k}.head") for k in range(modalities)]
    fusions = [model.group(f"fusion.side_{k}", "fusion.shared") for k in range(modalities)]
    return ConditionalLearningSpeed(model), branches + fusions


def mu(group: list[torch.nn.Parameter]) -> float:
    gradients = sum(float(p.grad.double().square().sum()) for p in group if p.grad is not None)
    return gradients / sum(float(p.detach().double().square().sum()) for p in group)


def test_speeds_are_no_numbers_before_the_first_regular_step() -> None:
    speed, _ = after_backward()
    assert speed.speeds().isnan().all()

    speed.add(RE_BALANCING)

    assert speed.speeds().isnan().all()


@pytest.mark.parametrize("modalities", [2, 3], ids=["two modalities", "three modalities"])
def test_speed_is_the_log10_of_the_ratio_of_sums_over_regular_steps(modalities: int) -> None:
    speed, groups = after_backward(modalities)
    sums = [0.0] * len(groups)
    for factor, regular in [(1.0, REGULAR), (5.0, RE_BALANCING), (0.5, REGULAR)]:
        for i, group in enumerate(groups):
            for p in group:
                p.grad = torch.full_like(p, factor * (i + 1))  # shared layers keep the last group's
        for i, group in enumerate(groups):
            sums[i] += mu(group) if regular else 0.0
        speed.add(regular)

    expected = [torch.tensor(sums[modalities + k] / sums[k]).log10().item() for k in range(modalities)]

    assert speed.speeds().tolist() == pytest.approx(expected, abs=1e-5)


def test_a_fusion_whose_gradient_is_ten_times_smaller_is_slower_by_2() -> None:
    speed, groups = after_backward()
    speed.add(REGULAR)
    before = speed.speeds()
    speed.sums.zero_()
    for p in {*groups[2], *groups[3]}:
        p.grad = torch.full_like(p, 0.1)

    speed.add(REGULAR)

    assert (before - speed.speeds()).tolist() == pytest.approx([2.0, 2.0], abs=1e-5)


def test_sums_are_saved_and_go_on_from_there() -> None:
    (first, _), (other, _) = after_backward(), after_backward()
    first.add(REGULAR)

    other.load_state_dict(first.state_dict())
    for speed in (first, other):
        speed.add(REGULAR)

    assert torch.equal(first.sums, other.sums)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.5, 0.2], 0.3), ([0.2, 0.5], -0.3), ([0.2, 0.7, -0.1], 0.8), ([0.7, 0.2, -0.1, 0.3], 0.8)],
    ids=["m0 leads", "m1 leads", "three", "four"],
)
def test_difference_has_a_sign_for_two_modalities_and_is_the_range_for_more(
    values: list[float], expected: float
) -> None:
    given: Tensor = torch.tensor(values, dtype=torch.float64)

    assert float(modality_gap(given)) == pytest.approx(expected)
