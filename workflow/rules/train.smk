rule train:
    input:
        data=data_of,
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
    threads: slots
    resources:
        gpu=gpu_slots,
        mem_mb=PARAMS.execution.memory_mb,
    params:
        plan=PLAN.path,
        run=run_id,
    shell:
        "python -m greedymm train --plan {params.plan} --run {params.run} 2> {log}"


rule evaluate:
    input:
        data=data_of,
        run=ancient(rules.train.output),
    output:
        result="results/runs/{dataset}/{method}/{run}/evaluation-{code}/result.json",
        predictions="results/runs/{dataset}/{method}/{run}/evaluation-{code}/predictions.parquet",
    log:
        "results/logs/evaluate/{dataset}-{method}-{run}-{code}.log",
    benchmark:
        "results/benchmarks/evaluate/{dataset}-{method}-{run}-{code}.tsv"
    conda:
        "../envs/greedymm.yaml"
    threads: slots
    resources:
        gpu=gpu_slots,
        mem_mb=PARAMS.execution.memory_mb,
    params:
        plan=PLAN.path,
        run=run_id,
    shell:
        "python -m greedymm evaluate --plan {params.plan} --run {params.run} 2> {log}"
