"""All runs -> tables, figures and page in a folder with the key of the analysis -> the published copy."""

SWEPT = [PLAN.runs[run] for points in PLAN.sweeps.values() for _, run in points]

# Where nothing is missing, Snakemake calls no hook. This job is there for the hook that sends what was not sent.
SENT = []
if PARAMS.tracking.enabled and UNSENT.exists():
    SENT = ["results/.sent"]
    Path(*SENT).unlink(missing_ok=True)


rule send:
    output:
        touch("results/.sent"),
    localrule: True


for step, folder, runs, searches, published in (
    ("report", PLAN.folder, PLAN.default_runs, [], "results/report"),
    ("sweeps", PLAN.sweeps_folder, SWEPT, [], "results/report/sweeps"),
    ("zoo", PLAN.zoo_folder, PLAN.default_runs, SEARCHED, "results/zoo"),
):

    rule:
        name:
            f"{step}_page"
        input:
            # Keys fix the content, whatever the times, which `dvc pull` sets anew.
            ancient(files_of(runs) + searches),
            data=ancient(sorted({run.data_path for run in runs})),
        output:
            page=report(
                f"{folder}/index.html",
                caption=f"../report/{step}.rst",
                category="Pages",
            ),
            figures=report(
                directory(f"{folder}/figures"),
                patterns=["{figure}.png"],
                caption="../report/figure.rst",
                category=f"Figures of the {step}",
            ),
            tables=directory(f"{folder}/tables"),
        log:
            f"results/logs/{step}/{folder.name}.log",
        benchmark:
            f"results/benchmarks/{step}/{folder.name}.tsv"
        conda:
            "../envs/greedymm.yaml"
        threads: 1
        resources:
            mem_mb=1500,
        params:
            step=step,
            plan=PLAN.path,
        shell:
            "python -m greedymm {params.step} --plan {params.plan} 2> {log}"

    rule:
        name:
            f"publish_{step}"
        input:
            [f"{folder}/{name}" for name in ("index.html", "figures", "tables")],
        output:
            page=f"{published}/index.html",
            figures=directory(f"{published}/figures"),
            tables=directory(f"{published}/tables"),
        log:
            f"results/logs/publish/{folder.name}.log",
        localrule: True
        conda:
            "../envs/greedymm.yaml"
        # Not `published`, which a shell command reads when the job starts: after the last turn of the loop.
        # Renamed at the end, so that no half of a copy is taken for the whole.
        shell:
            "{{ copy=$(dirname {output.page})/.copy; rm -rf $copy {output}; mkdir $copy;"
            " cp -r {input} $copy; mv $copy/* $(dirname {output.page}); rmdir $copy; }} 2> {log}"
