"""Several methods in one run: what is combined, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from pydantic import ValidationError

from greedymm.errors import GreedymmError
from greedymm.params.load import load, validate
from greedymm.training.methods.composition import Settings
from greedymm.training.methods.modality_dropout import Settings as Dropout
from greedymm.training.methods.ogm_ge import Settings as OgmGe
from greedymm.training.networks import make_method
from greedymm.training.step import Steps

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"


def compose(*parts: Any) -> Settings:
    return Settings.model_validate({"parts": list(parts)})


def trained(state: Path, settings: Any) -> tuple[Steps, tiny.Run]:
    run = tiny.run(state, settings=settings, clarity=(5.0, 0.1))
    return Steps.joined(run.go().steps), run


@pytest.mark.parametrize(
    ("neutral", "alone"),
    [
        ({"method": "modality_dropout", "p": 0}, OgmGe(noise=False)),
        ({"method": "ogm_ge", "alpha": 0, "noise": False}, Dropout(p=0.4)),
    ],
    ids=["edits of gradients", "passes"],
)
def test_with_one_neutral_method_the_other_trains_as_alone(tmp_path: Path, neutral: Any, alone: Any) -> None:
    name = type(alone).__module__.rpartition(".")[2]
    parts = [{"method": name} | alone.model_dump(), neutral]

    (steps, run), (expected, other) = (
        trained(tmp_path / f"{i}.pt", settings) for i, settings in enumerate((compose(*parts), alone))
    )

    if name == "ogm_ge":  # the draws of dropout come from the generator of the method, after a seed for the noise
        assert torch.equal(steps.loss, expected.loss)
        assert torch.equal(steps.log["ogm_ge_scale_0"], expected.log["scale_0"])
        for a, b in zip(run.fit.model.parameters(), other.fit.model.parameters(), strict=True):
            assert torch.equal(a, b)
    else:
        greedy, _ = trained(tmp_path / "greedy.pt", None)
        assert not torch.equal(steps.loss, greedy.loss)
        assert (steps.log["ogm_ge_scale_0"] == 1).all()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["random", "modality_dropout"], "random and modality_dropout both define `plan`"),
        (["agm", {"method": "lfm"}], "agm and lfm both define `loss`"),
        (["ogm_ge", "mla"], "'mla' runs its own steps, and cannot be in a composition"),
        (
            [{"method": "ogm_ge", "objective": "multi"}, "mmpareto"],
            "'mmpareto' replaces gradients.* must be the first one",
        ),
    ],
    ids=["a pass", "a loss", "a step", "gradients that are replaced after an edit"],
)
def test_two_methods_that_own_a_hook_are_refused(parts: list[Any], message: str) -> None:
    with pytest.raises(GreedymmError, match=message):
        make_method(compose(*parts), tiny.network(), torch.Generator())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["balanced", "ume"], "'ume' replaces parts of the network .* must be the first one"),
        (["ume", "balanced"], "'balanced' in a composition with ume: the network has no parameters fusion.side_0"),
        (["ume", "random"], "'random' in a composition with ume needs passes with mode"),
        (["agm", {"method": "mmcosine", "objective": "joint"}], "'mmcosine' replaces parts"),
    ],
)
def test_methods_that_use_what_another_one_replaces_are_refused(parts: list[Any], message: str) -> None:
    with pytest.raises(GreedymmError, match=message):
        make_method(compose(*parts), tiny.network(), torch.Generator())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["ogm_ge"], "at least 2 items"),
        (["ogm_ge", "ogm_ge"], "has each method once"),
        ([{"method": "ogm_ge", "objective": "joint"}, "modality_dropout"], "need the same objective"),
        (["ogm_ge", "none"], "unknown method 'none'"),
    ],
)
def test_settings_that_cannot_be_composed_are_refused(parts: list[Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        compose(*parts)


def test_params_name_a_composition_by_a_list_and_a_variant_by_its_method() -> None:
    params = load(PARAMS).model_dump(mode="json") | {"sweeps": {}}
    params["datasets"]["solids"]["methods"] = {
        "both": ["ogm_ge", {"method": "modality_dropout", "p": 0.3}],
        "greedy_joint": {"method": "greedy", "objective": "joint"},
    }
    validated = validate(params)
    methods = validated.datasets["solids"].methods

    assert [part.method for part in methods["both"].parts] == ["ogm_ge", "modality_dropout"]  # type: ignore[attr-defined]
    assert methods["greedy_joint"].objective == "joint"
    assert validate(validated.model_dump(mode="json")) == validated
