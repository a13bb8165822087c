"""What the params no longer name -> listed, or deleted."""

import shutil
from pathlib import Path

from greedymm.params.schema import Params
from greedymm.plan import data_settings, planned, sweep_place, variants


def prune(params: Params, *, delete: bool) -> list[Path]:
    """Find the data and runs that params no longer name, and delete them if so asked; returns folders and files."""
    everything = variants(params)
    runs = [run for wanted in everything for run in planned(wanted)]
    keep = {place for run in runs for place in (run.folder, run.evaluation_folder)}
    keep |= {data_settings(wanted, name).path for wanted in everything for name in wanted.datasets}
    swept = {sweep_place(params, name).name for name in params.sweeps}
    there = [*Path("results/runs").glob("*/*/*"), *Path("results/data").glob("*/*.h5")]
    there += [place for run in runs for place in run.folder.glob("evaluation-*")]  # measured by earlier code
    there += [file for file in Path("results/report/sweeps").glob("*-*") if file.stem not in swept]
    stale = sorted(set(there) - keep)
    for path in stale if delete else []:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return stale
