rule prepare:
    output:
        data="results/data/{dataset}/{key}.h5",
        info="results/data/{dataset}/{key}.json",
    log:
        "results/logs/prepare/{dataset}-{key}.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}-{key}.tsv"
    # All data come first: a file is prepared by all cores, which would wait for the longest run in training.
    priority: 100
    conda:
        "../envs/greedymm.yaml"
    threads: PARAMS.execution.preparers
    resources:
        mem_mb=lambda _, threads: 500 + 300 * threads,
    params:
        plan=PLAN.path,
        data=data_id,
    shell:
        "python -m greedymm prepare --plan {params.plan} --data {params.data}"
        " --workers {threads} 2> {log}"
