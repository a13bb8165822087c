rule figures:
    input:
        ancient(rules.tables.output),
        ancient([data_settings(PARAMS, name).path for name in PARAMS.datasets]),
    output:
        report(
            "results/figures/accuracy.png",
            caption="../report/accuracy.rst",
            category="Accuracy",
        ),
        report(
            expand(
                "results/figures/utilization-{name}.png", name=FIGURES["utilization"]
            ),
            caption="../report/utilization.rst",
            category="Utilization",
        ),
        report(
            expand("results/figures/measures-{name}.png", name=FIGURES["measures"]),
            caption="../report/measures.rst",
            category="Utilization",
        ),
        report(
            expand("results/figures/proxy-{name}.png", name=FIGURES["proxy"]),
            caption="../report/proxy.rst",
            category="Utilization",
        ),
        report(
            expand("results/figures/d_speed-{name}.png", name=FIGURES["d_speed"]),
            caption="../report/d_speed.rst",
            category="Learning speed",
        ),
        report(
            expand("results/figures/steps-{name}.png", name=FIGURES["steps"]),
            caption="../report/steps.rst",
            category="Learning speed",
        ),
        report(
            expand("results/figures/branches-{name}.png", name=FIGURES["branches"]),
            caption="../report/branches.rst",
            category="Learning curves",
        ),
        report(
            expand("results/figures/confusion-{name}.png", name=FIGURES["confusion"]),
            caption="../report/confusion.rst",
            category="Accuracy",
        ),
        report(
            expand("results/figures/samples-{name}.png", name=FIGURES["samples"]),
            caption="../report/samples.rst",
            category="Data",
        ),
        report(
            expand(
                "results/figures/uniquely_correct-{name}.png", name=FIGURES["uniquely_correct"]
            ),
            caption="../report/uniquely_correct.rst",
            category="Accuracy",
        ),
        "results/figures/accuracy.svg",
        [
            f"results/figures/{kind}-{name}.svg"
            for kind in FIGURES
            for name in FIGURES[kind]
        ],
        stamp=f"results/figures/{ANALYSIS}.key",
    log:
        f"results/logs/figures/{ANALYSIS}.log",
    benchmark:
        f"results/benchmarks/figures/{ANALYSIS}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm figures --params {params.params:q} --tables results/tables"
        " --folder results/figures --stamp {output.stamp} 2> {log}"


rule costs:
    input:
        ancient(files_of(RUNS)),
    output:
        report(
            "results/costs/costs.png",
            caption="../report/costs.rst",
            category="Costs",
        ),
        "results/costs/costs.svg",
        "results/costs/costs.csv",
        stamp=f"results/costs/{ANALYSIS}.key",
    log:
        f"results/logs/costs/{ANALYSIS}.log",
    benchmark:
        f"results/benchmarks/costs/{ANALYSIS}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm costs --params {params.params:q} --folder results/costs"
        " --stamp {output.stamp} 2> {log}"


# Whether the sweeps are in the report is settled where the workflow starts, also where jobs are sent elsewhere.
localrules:
    report,
    track,


rule report:
    input:
        ancient(rules.tables.output),
        ancient(rules.figures.output),
        ancient(rules.costs.output),
        # Not ancient: a sweep of which a run was mended is shown anew.
        [SWEEPS_STAMP] if PARAMS.sweeps and SWEEPS_STAMP.exists() else [],
    output:
        page=report(
            "results/report/index.html",
            caption="../report/page.rst",
            category="Report",
        ),
        stamp=f"results/report/{REPORT}.key",
    log:
        f"results/logs/report/{ANALYSIS}.log",
    benchmark:
        f"results/benchmarks/report/{ANALYSIS}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm report --params {params.params:q} --tables results/tables"
        " --figures results/figures --costs results/costs --page {output.page} --stamp {output.stamp} 2> {log}"


rule track:
    input:
        ancient(files_of(RUNS)),
        ancient(rules.tables.output),
        ancient(rules.figures.output),
        rules.report.output,  # not ancient: one that is made anew is sent anew
    output:
        f"results/tracking/{REPORT}-{STORE}.txt",
    log:
        f"results/logs/track/{ANALYSIS}.log",
    benchmark:
        f"results/benchmarks/track/{ANALYSIS}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=2000 if PARAMS.tracking.models else 1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm track --params {params.params:q} --note {output} 2> {log}"


rule sweep:
    input:
        files_of_sweep,
    output:
        report(
            "results/report/sweeps/{sweep}-{key}.png",
            caption="../report/sweep.rst",
            category="Sweeps",
        ),
        multiext("results/report/sweeps/{sweep}-{key}", ".svg", ".txt", ".csv"),
    log:
        "results/logs/sweep/{sweep}-{key}.log",
    benchmark:
        "results/benchmarks/sweep/{sweep}-{key}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm sweep --params {params.params:q} --name {wildcards.sweep} 2> {log}"


rule sweeps_page:
    input:
        # Not ancient: a sweep of which a run was mended is made anew.
        expand("{place}{kind}", place=SWEEPS.values(), kind=[".png", ".txt", ".csv"]),
    output:
        page=report(
            "results/report/sweeps.html",
            caption="../report/sweep.rst",
            category="Sweeps",
        ),
        stamp=SWEEPS_STAMP,
    log:
        f"results/logs/sweeps/{SWEEPS_KEY}.log",
    benchmark:
        f"results/benchmarks/sweeps/{SWEEPS_KEY}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm sweeps --params {params.params:q} --page {output.page}"
        " --stamp {output.stamp} 2> {log}"


use rule track as track_sweeps with:
    input:
        ancient(files_of(sum(SWEPT.values(), []))),
        rules.sweeps_page.output,
    output:
        f"results/tracking/sweeps-{SWEEPS_KEY}-{STORE}.txt",
    log:
        f"results/logs/track_sweeps/{SWEEPS_KEY}.log",
    benchmark:
        f"results/benchmarks/track_sweeps/{SWEEPS_KEY}.tsv"
