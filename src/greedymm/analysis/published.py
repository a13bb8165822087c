"""Test accuracies that others published, each read in its own source, under its own conditions, beside those here."""

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from greedymm.analysis.figures.style import label

COLUMNS = ["data", "method", "test accuracy (%)", "conditions there", "source", "here"]
PMR = "PMR (Fan et al., CVPR 2023), tables 1 and 3"
KIM = "Kim et al. 2019, README of learning-not-to-learn"
NN_EXAM = "ludocomito/NN-Exam-Project"
RECONBOOST = "name of ReconBoost's released checkpoint"
VARIANCE = "60,000 training digits, variance of the colours {}"
NUMBERS = {
    "colored_mnist": [
        *(
            (method, accuracy, VARIANCE.format(0.03), PMR)
            for method, accuracy in [
                ("gray alone", 99.3), ("colour alone", 60.4), ("concatenation", 58.4), ("sum", 59.1),
                ("sum + PMR", 78.5), ("MMTM", 71.4), ("MMTM + PMR", 74.2),
            ]
        ),
        *(
            ("colour alone", accuracy, VARIANCE.format(variance), KIM)
            for variance, accuracy in [
                (0.02, 40.55), (0.025, 48.13), (0.03, 59.96), (0.035, 66.26), (0.04, 73.33), (0.045, 79.73),
                (0.05, 84.5),
            ]
        ),
    ],
    "modelnet40": [
        ("un-balanced", 88.8, "views 0 and 6, one run, a re-implementation", NN_EXAM),
        ("balanced", 89.05, "views 0 and 6, one run, a re-implementation", NN_EXAM),
        ("ReconBoost ensemble", 91.14, "two random views", RECONBOOST),
    ],
    "nvgesture": [
        (method, accuracy, "RGB and depth", source)
        for method, accuracy, source in [
            ("I3D", 83.8, "quoted in Comput. Intell. Neurosci. 2021, 5044916, table 12"),
            ("MTUT", 85.5, "Abavisani et al., CVPR 2019"),
            ("3DCDC-NAS", 88.38, "Yu et al. 2020, arXiv 2008.09412"),
            ("Decouple & Recouple", 91.7, "Zhou et al., CVPR 2022"),
        ]
    ],
}  # fmt: skip
LIKE = {"colored_mnist_5k": "colored_mnist"}  # smaller, but of the same digits


HERE = {
    "gray alone": "unimodal_gray",
    "colour alone": "unimodal_color",
    "MMTM": "greedy",
    "un-balanced": "greedy",
    "balanced": "balanced",
}  # what is comparable: methods of the same modalities and fusion


def published(datasets: Iterable[str], accuracies: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """What others published on these datasets: COLUMNS; of one that nobody else has, nothing.

    Args:
        datasets: names.
        accuracies: dataset and method -> test accuracy here, as it is shown.
    """
    own = list(datasets)
    rows = [
        (name, *row, "; ".join(_here(row[0], [d for d in own if LIKE.get(d, d) == name], accuracies)))
        for name in dict.fromkeys(LIKE.get(name, name) for name in own)
        for row in NUMBERS.get(name, [])
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _here(method: str, datasets: Iterable[str], accuracies: Mapping[tuple[str, str], str]) -> Iterator[str]:
    own = HERE.get(method, "")
    for dataset in datasets:
        if (dataset, own) in accuracies:
            yield f"{label(own)} on {dataset}: {accuracies[dataset, own]}"
