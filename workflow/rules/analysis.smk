rule evaluate:
    input:
        data=lambda w: ancient(run_of(w).data_path),
        checkpoint=ancient(rules.train.output.checkpoint),  # fixed, too, by the key of its folder
        snapshots=ancient(rules.train.output.snapshots),
    output:
        rates="results/runs/{dataset}/{method}/{run}/evaluation-{code}/rates.json",
        during="results/runs/{dataset}/{method}/{run}/evaluation-{code}/during_training.csv",
        predictions="results/runs/{dataset}/{method}/{run}/evaluation-{code}/predictions.parquet",
    log:
        "results/logs/evaluate/{dataset}-{method}-{run}-{code}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}-{method}-{run}-{code}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: places
    resources:
        gpu=gpus,
        mem_mb=PARAMS.execution.memory_mb,
    params:
        run=lambda w: run_of(w).model_dump_json(),
        execution=PARAMS.execution.model_dump_json(),
    shell:
        "python -m greedymm evaluate --run {params.run:q} --execution {params.execution:q} 2> {log}"


rule tables:
    input:
        ancient(files_of(RUNS)),
        ancient([data_settings(PARAMS, name).path for name in PARAMS.datasets]),
    output:
        "results/tables/runs.csv",
        "results/tables/summary.csv",
        "results/tables/headline.csv",
        "results/tables/headline.md",
        "results/tables/headline.tex",
        "results/tables/curves.csv",
        "results/tables/during_training.csv",
        "results/tables/uniquely_correct.csv",
        "results/tables/confusion.csv",
        "results/tables/steps.parquet",
        "results/tables/claims.csv",
        "results/tables/claims.md",
        "results/tables/claims.tex",
        "results/tables/metrics.json",
        stamp=f"results/tables/{ANALYSIS}.key",
    log:
        f"results/logs/tables/{ANALYSIS}.log",
    benchmark:
        f"results/benchmarks/tables/{ANALYSIS}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: 1
    resources:
        mem_mb=1000,
    params:
        params=PARAMS.model_dump_json(),
    shell:
        "python -m greedymm tables --params {params.params:q} --folder results/tables --stamp {output.stamp} 2> {log}"
