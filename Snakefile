"""sources -> HDF5 -> trained networks -> utilization -> tables -> figures -> report"""

from snakemake.utils import min_version

min_version("9.0")


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.figures.output,
        rules.costs.output,
        rules.report.output,
        rules.track.output if PARAMS.tracking.enabled else [],
        files_of(RUNS),


rule sweeps:
    input:
        rules.sweeps_page.output,
        expand("{place}.svg", place=SWEEPS.values()),
        rules.track_sweeps.output if PARAMS.tracking.enabled else [],


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
            files_of([run for run in RUNS if run.dataset == name]),


onstart:
    check_parts()


onsuccess:
    forget_what_is_left_out()
    if sweeps_are_newer():
        logger.info("snakemake --cores 8 all shows the sweeps in the report")
    # A store that was down costs no run, but a user should see it.
    for note in map(Path, [*rules.track.output, *rules.track_sweeps.output]):
        if (
            PARAMS.tracking.enabled
            and note.exists()
            and "failed" in note.read_text()
        ):
            logger.warning(note.read_text())
            note.unlink()  # tried again next time


onerror:
    logger.warning(
        "Tables and the report of the runs that are finished: greedymm preview"
    )
