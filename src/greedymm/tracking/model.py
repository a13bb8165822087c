"""A checkpoint -> a model in MLflow that `mlflow.pytorch.load_model` loads without this project."""

import tempfile
from pathlib import Path

import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model
from torch import Tensor, nn

from greedymm.data.inputs import Transform
from greedymm.files import write_text
from greedymm.models.network import MultimodalNetwork
from greedymm.run import Run
from greedymm.training.networks import load_network


class Logits(nn.Module):
    """A network that returns plain tensors, as an exported graph must."""

    def __init__(self, network: MultimodalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Logits (B, classes) of the network, and of each branch."""
        output = self.network(inputs)
        return output.logits, output.branches


def load_logits(run: Run) -> tuple[Logits, list[Tensor]]:
    """A run's trained network on the CPU, and example inputs: two blank samples of each modality."""
    settings, device = run.settings, torch.device("cpu")
    network, _, state = load_network(run.folder / "checkpoint.pt", device, settings)
    blank = [torch.zeros(2, *shape, dtype=torch.uint8) for shape in state["shapes"]]
    return Logits(network).eval(), Transform(settings.inputs, len(blank), device)(blank)


def log_model(client: MlflowClient, run_id: str, run: Run, epoch: int) -> None:
    """Log a run's network as its model.

    `mlflow.pytorch.log_model` exports graphs of one input tensor and of one batch size. These networks take a list of
    tensors of any batch size, so the graph is exported here.
    """
    network, example = load_logits(run)
    with tempfile.TemporaryDirectory() as folder:
        data, library = Path(folder, "data"), str(torch.__version__)
        data.mkdir()
        _export(network, example, data / "model.pt2")
        write_text(Path(folder, "requirements.txt"), f"torch=={library.partition('+')[0]}\n")
        experiment = client.get_run(run_id).info.experiment_id
        _delete_unfinished(client, experiment, run_id)
        logged = client.create_logged_model(experiment, "model", source_run_id=run_id)
        card = Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id)
        card.add_flavor("pytorch", model_data=data.name, pytorch_version=library, code=None)
        card.save(str(Path(folder, "MLmodel")))
        client.log_model_artifacts(logged.model_id, folder)
        client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, epoch)])


def _delete_unfinished(client: MlflowClient, experiment: str, run_id: str) -> None:
    """Delete models of a run that an interruption left. The run does not have them as outputs."""
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)


def _export(network: nn.Module, example: list[Tensor], path: Path) -> None:
    for weight in network.parameters():
        weight.data = weight.data.contiguous()  # torch.export cannot store the layout channels_last
    sizes = [{0: torch.export.Dim.DYNAMIC} for _ in example]
    # strict: `len` of a tensor follows the batch size, too.
    graph = torch.export.export(network, (example,), dynamic_shapes=(sizes,), strict=True)
    torch.export.save(graph, path)
