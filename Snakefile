"""sources -> HDF5 -> trained networks -> utilization -> tables -> figures -> report"""

from snakemake.utils import min_version

min_version("9.0")


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.output,
        rules.track.output,
        [run.folder / "checkpoint.pt" for run in RUNS],


for name in PARAMS.datasets:

    rule:
        name:
            f"data_{name}"
        input:
            data_settings(PARAMS, name).path,

    rule:
        name:
            f"runs_{name}"
        input:
            [
                run.evaluation_folder / "rates.json"
                for run in RUNS
                if run.dataset == name
            ],
