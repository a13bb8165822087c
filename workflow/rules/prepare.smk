rule prepare:
    output:
        "results/data/{dataset}/{key}.h5",
    log:
        "results/logs/prepare/{dataset}-{key}.log",
    benchmark:
        "results/benchmarks/prepare/{dataset}-{key}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: PARAMS.execution.preparers
    resources:
        mem_mb=lambda _, threads: 500 + 300 * threads,
    params:
        settings=lambda w: data_of(w).model_dump_json(),
    shell:
        "python -m greedymm prepare --settings {params.settings:q} --raw data/raw"
        " --workers {threads} --output {output} 2> {log}"
