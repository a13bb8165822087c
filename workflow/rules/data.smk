rule data:
    output:
        "results/data/{dataset}/{key}.h5",
    log:
        "results/logs/data/{dataset}-{key}.log",
    benchmark:
        "results/benchmarks/data/{dataset}-{key}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: PARAMS.execution.preparers
    resources:
        mem_mb=lambda _, threads: 500 + 300 * threads,
    params:
        settings=lambda w: data_of(w).model_dump_json(),
    shell:
        "python -m greedymm data --settings {params.settings:q} --raw data/raw"
        " --workers {threads} --output {output} 2> {log}"
