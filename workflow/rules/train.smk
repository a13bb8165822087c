"""Runs that lack files -> jobs. A job trains and evaluates some runs of a method, in one process.

Importing torch takes as long as training a small network, so runs share it: see `runs_per_job` in params.yaml. Rules are
made for what is missing, so that no file of a finished run is deleted and made again with those of its job.
"""


def lacks(files):
    return not all(path.exists() for path in files)


def jobs():
    """Planned runs of each job: of the same dataset and method."""
    default = set(PLAN.default)
    swept = [run for run in PLAN.runs.values() if run.id not in default]
    for planned in (PLAN.default_runs, swept):
        for _, group in groupby(planned, key=lambda run: (run.dataset, run.method)):
            group, size = list(group), PARAMS.execution.runs_per_job
            yield from (group[i : i + size] for i in range(0, len(group), size))


for job in jobs():
    untrained = [run for run in job if lacks(trained_files([run]))]
    unevaluated = [
        run for run in job if run not in untrained and lacks(evaluated_files([run]))
    ]
    # The first planned run names a job, whether or not it is among those that are missing.
    name = f"{job[0].dataset}-{job[0].method}-{job[0].name}"
    # A cluster's job reads this file again. Of its runs, an earlier attempt may have trained some.
    trained = unevaluated if repeats(f"train_{name.replace('-', '_')}") else []
    for step, runs, checkpoints, files in (
        (
            "train",
            untrained + trained,
            [],
            files_of(untrained) + evaluated_files(trained),
        ),
        (
            "evaluate",
            unevaluated,
            trained_files(unevaluated),
            evaluated_files(unevaluated),
        ),
    ):
        if runs:

            rule:
                name:
                    f"{step}_{name.replace('-', '_')}"
                input:
                    data=sorted({run.data_path for run in runs}),
                    checkpoints=checkpoints,
                output:
                    files,
                log:
                    f"results/logs/{step}/{name}.log",
                benchmark:
                    f"results/benchmarks/{step}/{name}.tsv"
                # References, which are short, come last, so that all cores are busy until the end.
                priority: len(job[0].settings.modalities)
                conda:
                    "../envs/greedymm.yaml"
                threads: slots
                resources:
                    gpu=gpu_slots,
                    mem_mb=memory,
                params:
                    step=step,
                    plan=PLAN.path,
                    runs=shlex.join(word for run in runs for word in ("--run", run.id)),
                shell:
                    "python -m greedymm {params.step} --plan {params.plan} {params.runs} 2> {log}"
