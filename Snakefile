"""sources -> HDF5 -> trained networks -> measures -> tables, figures, report"""

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        files_of(PLAN.default_runs),
        rules.report_page.output,
        rules.publish_report.output,
        SENT,


rule sweeps:
    input:
        files_of(SWEPT),
        rules.sweeps_page.output,
        rules.publish_sweeps.output,
        SENT,


rule zoo:
    input:
        files_of(PLAN.default_runs),
        SEARCHED,
        rules.zoo_page.output,
        rules.publish_zoo.output,
        SENT,


rule data:
    input:
        [PLAN.data_of(name).path for name in PARAMS.datasets],


rule runs:
    input:
        files_of(PLAN.default_runs),


for name in PARAMS.datasets:

    rule:
        name:
            f"data_{name}"
        input:
            PLAN.data_of(name).path,

    rule:
        name:
            f"runs_{name}"
        input:
            files_of([run for run in PLAN.default_runs if run.dataset == name]),


onstart:
    start()


onsuccess:
    synchronize()


onerror:
    synchronize()
    words = [mask(word, PARAMS.tracking.uri) for word in sys.argv[1:]]
    again = shlex.join(["snakemake", *words])
    logger.warning(f"What is finished is kept. Make the rest with: {again}")
    logger.warning("Tables and the report of the finished runs: greedymm preview")
