"""What methods that treat branches apart share."""

from pathlib import Path

import pytest
import tiny
import torch

from greedymm.errors import GreedymmError
from greedymm.models.network import Output
from greedymm.training.methods.branchwise import validate, votes
from greedymm.training.methods.miles import Settings

ONE_EPOCH = tiny.TRAINING.model_copy(update={"epochs": 1})


@pytest.mark.parametrize("name", ["mslr", "mses", "miles"])
def test_a_validation_split_with_too_few_samples_is_refused_before_training(tmp_path: Path, name: str) -> None:
    run = tiny.run(tmp_path / "r.pt", name)
    run.val = tiny.split(5, (1.0, 0.3), 4)

    with pytest.raises(GreedymmError, match=rf"'{name}' .* 5 samples for 3 classes; it needs 6\. Hold out more"):
        run.go()


def test_scores_of_cut_branches_leave_the_network_as_it_was(tmp_path: Path) -> None:
    run = tiny.run(tmp_path / "r.pt", settings=Settings(evidence="cut"), training=ONE_EPOCH)
    run.go()
    model = run.fit.model
    before = {name: value.clone() for name, value in model.state_dict().items()}

    full, cut = (validate(model, run.val, evidence) for evidence in ("full", "cut"))

    assert full.losses[0] == cut.losses[0]
    assert full.losses[1:] != cut.losses[1:]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_an_absent_modality_has_no_vote() -> None:
    logits = [torch.zeros(2, 3)] * 2
    output = Output(logits[0], logits, logits)

    assert votes(output).flatten().tolist() == [1, 1]
    assert votes(output._replace(present=torch.tensor([True, False]))).flatten().tolist() == [1, 0]
    by_sample = torch.tensor([[True, False], [True, True]])
    assert votes(output._replace(present=by_sample)).squeeze(2).tolist() == [[1, 1], [0, 1]]
