"""All runs -> tables, figures and report in a folder with the key of the analysis -> the published copy."""

ANALYSIS, SWEEPS, REPORT = PLAN.folder, PLAN.sweeps_folder, "results/report"
SWEPT = [PLAN.runs[run] for points in PLAN.sweeps.values() for _, run in points]


localrules:
    publish,
    publish_sweeps,


rule report:
    input:
        ancient(files_of(PLAN.default_runs)),
    output:
        page=report(
            f"{ANALYSIS}/index.html",
            caption="../report/page.rst",
            category="Report",
        ),
        figures=report(
            directory(f"{ANALYSIS}/figures"),
            patterns=["{figure}.png"],
            caption="../report/figure.rst",
            category="Figures",
        ),
        tables=directory(f"{ANALYSIS}/tables"),
    log:
        f"results/logs/report/{ANALYSIS.name}.log",
    benchmark:
        f"results/benchmarks/report/{ANALYSIS.name}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        plan=PLAN.path,
    shell:
        "python -m greedymm report --plan {params.plan} 2> {log}"


rule publish:
    input:
        rules.report.output,
    output:
        page=f"{REPORT}/index.html",
        figures=directory(f"{REPORT}/figures"),
        tables=directory(f"{REPORT}/tables"),
    log:
        f"results/logs/publish/{ANALYSIS.name}.log",
    conda:
        "../envs/greedymm.yaml"
    shell:
        "cp -r {input} results/report 2> {log}"


rule sweeps_page:
    input:
        ancient(files_of(SWEPT)),
    output:
        page=report(
            f"{SWEEPS}/sweeps.html",
            caption="../report/sweep.rst",
            category="Sweeps",
        ),
        files=report(
            directory(f"{SWEEPS}/sweeps"),
            patterns=["{sweep}.png"],
            caption="../report/sweep.rst",
            category="Sweeps",
        ),
    log:
        f"results/logs/sweeps/{SWEEPS.name}.log",
    benchmark:
        f"results/benchmarks/sweeps/{SWEEPS.name}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1500,
    params:
        plan=PLAN.path,
    shell:
        "python -m greedymm sweeps --plan {params.plan} 2> {log}"


rule publish_sweeps:
    input:
        rules.sweeps_page.output,
    output:
        page=f"{REPORT}/sweeps.html",
        files=directory(f"{REPORT}/sweeps"),
    log:
        f"results/logs/publish/{SWEEPS.name}.log",
    conda:
        "../envs/greedymm.yaml"
    shell:
        "cp -r {input} results/report 2> {log}"
