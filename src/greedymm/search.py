"""What the search of a method's settings is told: the values of each trial, and the runs that follow."""

from functools import cached_property
from pathlib import Path
from typing import Any

from greedymm.files import read, read_json
from greedymm.run import Run, RunSettings, key_of
from greedymm.settings import Strict


class Search(Strict):
    """A search of the settings of one method on one dataset: its trials are compared on validation."""

    base: Run  # with the settings of the params
    trials: tuple[dict[str, Any], ...]  # of each trial: path of a setting of the run, value
    trial_seed: int
    seeds: tuple[int, ...]  # of the runs with the chosen settings
    code: str  # fingerprint of the code that chooses

    @cached_property
    def id(self) -> str:
        """Name in a plan."""
        content = self.model_dump(mode="json")
        return f"{self.base.dataset}/{self.base.method}-{key_of(content)}"

    @property
    def path(self) -> Path:
        """File with the scores of all trials, and which ones are chosen."""
        return Path("results/searches", f"{self.id}.json")

    def results(self) -> dict[str, Any]:
        """Content of the finished file. Raises a GreedymmError if it is missing or broken."""
        return read(self.path, lambda path: dict(read_json(path)))

    def best(self, split: str) -> list[Run]:
        """The runs with the settings that are best on a split; none if the search does not choose by it."""
        chosen = self.results()["chosen"]
        return self.chosen(chosen[split]) if split in chosen else []

    def finished(self) -> list[Run]:
        """The runs with chosen settings, by whichever split; none before the search is finished."""
        chosen = self.results()["chosen"] if self.path.exists() else {}
        return [run for index in dict.fromkeys(chosen.values()) for run in self.chosen(index)]

    def trial(self, index: int) -> Run:
        """The run of a trial."""
        return self._run(index, self.trial_seed)

    def chosen(self, index: int) -> list[Run]:
        """The runs of all seeds with the settings of a trial."""
        return [self._run(index, seed) for seed in self.seeds]

    def _run(self, index: int, seed: int) -> Run:
        raw = self.base.settings.model_dump(mode="json") | {"seed": seed}
        for path, value in self.trials[index].items():
            section, name = path.split(".")
            raw[section][name] = value
        settings = RunSettings.model_validate(raw)
        return Run(settings=settings, data_path=self.base.data_path, evaluation=self.base.evaluation)
