rule train:
    input:
        data=lambda w: ancient(run_of(w).data_path),  # its content is fixed by the key in its name
    output:
        checkpoint="results/runs/{dataset}/{method}/{run}/checkpoint.pt",
        snapshots="results/runs/{dataset}/{method}/{run}/snapshots.pt",
        history="results/runs/{dataset}/{method}/{run}/history.csv",
        timing="results/runs/{dataset}/{method}/{run}/timing.csv",
        steps="results/runs/{dataset}/{method}/{run}/steps.parquet",
        record="results/runs/{dataset}/{method}/{run}/record.json",
    log:
        "results/logs/train/{dataset}-{method}-{run}.log",
    benchmark:
        "results/benchmarks/train/{dataset}-{method}-{run}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: places
    resources:
        gpu=gpus,
        mem_mb=PARAMS.execution.memory_mb,
    params:
        run=lambda w: run_of(w).model_dump_json(),
        execution=PARAMS.execution.model_dump_json(),
        tracking=PARAMS.tracking.model_dump_json(),
    shell:
        "python -m greedymm train --run {params.run:q} --execution {params.execution:q}"
        " --tracking {params.tracking:q} 2> {log}"
