"""RUBi against a plain loop; what is masked, and when."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch.nn.functional import cross_entropy

from greedymm.errors import GreedymmError
from greedymm.training.methods.rubi import Settings

CLARITY = (1.0, 0.3, 0.7)


@pytest.mark.parametrize(
    ("objective", "biased"), [("branch", None), ("joint", "m1"), ("multi", None), ("branch", "m1")]
)
def test_training_agrees_with_a_plain_loop(tmp_path: Path, biased: str | None, objective: str) -> None:
    settings = Settings.model_validate({"objective": objective, "biased": biased, "weight": 0.5})
    run, bare = (
        tiny.run(tmp_path / f"{i}.pt", settings=settings, clarity=CLARITY, training=tiny.STEADY) for i in range(2)
    )
    masks, heads = bare.fit.model.method  # type: ignore[misc]
    modalities = [0, 1, 2] if biased is None else [1]

    def differentiate(step: tiny.BareStep) -> tiny.Row:
        output = step.model(step.inputs)
        alone = {j: masks[i](output.features[j].detach()) for i, j in enumerate(modalities)}
        bias = [cross_entropy(heads[i](alone[j]), step.labels) for i, j in enumerate(modalities)]
        loss = 0.5 * torch.stack(bias).sum()
        joint = output.logits
        for b in alone.values():
            joint = joint / (1 + (-b).exp())
        if objective != "branch":
            loss = loss + cross_entropy(joint, step.labels)
        for k, y in enumerate(output.branches if objective != "joint" else []):
            for j in modalities:
                y = y / (1 + (-alone[j]).exp()) if j != k else y  # noqa: PLW2901
            loss = loss + cross_entropy(y, step.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        rows = torch.arange(len(step.labels))
        return {f"mask_{j}": b.sigmoid()[rows, step.labels].mean().item() for j, b in alone.items()}

    run.go()

    tiny.assert_agree(run, bare, tiny.bare_loop(bare, differentiate))


def test_the_clearer_modality_masks_more_of_the_other_classes(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(), clarity=(5.0, 0.0), samples=60)
    run.go()
    method: Any = run.fit.method
    inputs, labels = (torch.cat(x) for x in zip(*((i[0], y) for i, y in run.val), strict=True))
    other = torch.cat([i[1] for i, _ in run.val])

    features = run.fit.model.eval()([inputs, other]).features
    masks = [mask(h).sigmoid() for mask, h in zip(method.masks, features, strict=True)]

    rows = torch.arange(len(labels))
    kept = [mask[rows, labels].mean() / mask.mean() for mask in masks]
    assert kept[0] > 1.1
    assert kept[0] > kept[1]


def test_evaluation_does_not_mask_and_the_layers_of_the_bias_do_not_train_the_branch(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(weight=1.0))
    method: Any = run.fit.method
    model, (inputs, labels) = run.fit.model, next(iter(run.train))
    logits = model.eval()(inputs).logits
    for p in method.masks.parameters():
        p.data.normal_()

    assert torch.equal(model(inputs).logits, logits)
    step: Any = type("Step", (), {"output": model(inputs), "labels": labels})()
    bias = method.loss(step)["bias"]
    gradients = torch.autograd.grad(bias, list(model.branches.parameters()), allow_unused=True)  # type: ignore[attr-defined]
    assert gradients == (None,) * len(gradients)


def test_a_modality_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GreedymmError, match="biased is 'sound', which is no modality of this network; it has: m0, m1"):
        tiny.run(tmp_path / "r.pt", settings=Settings(biased="sound"))
