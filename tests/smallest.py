"""Params of the smallest study: one run, of one epoch, on 100 digits."""

from greedymm.params.load import validate
from greedymm.settings import Execution

SECTION = {
    "data": {"per_class": 10},
    "model": {"branch": {"name": "cnn", "widths": [4]}, "fusion": {"name": "mmtm"}, "fuse_after": [1]},
    "training": {"epochs": 1, "batch_size": 8, "learning_rate": 0.1},
    "methods": {"greedy": {}},
    "unimodal": False,
}
PARAMS = validate({"seeds": [3], "datasets": {"colored_mnist_5k": SECTION}})
CPU = Execution(device="cpu")
