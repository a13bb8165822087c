"""Searches that are not finished -> jobs. A job trains all trials of a method, then all seeds with the best settings."""

for search in PLAN.searches.values():
    if not search.path.exists():

        rule:
            name:
                f"search_{search.base.dataset}_{search.base.method}"
            input:
                data=ancient(search.base.data_path),
            output:
                search.path,
            log:
                f"results/logs/search/{search.base.dataset}-{search.base.method}.log",
            benchmark:
                f"results/benchmarks/search/{search.base.dataset}-{search.base.method}.tsv"
            conda:
                "../envs/greedymm.yaml"
            threads: slots
            resources:
                gpu=gpu_slots,
                mem_mb=PARAMS.execution.memory_mb,
            params:
                plan=PLAN.path,
                search=search.id,
            shell:
                "python -m greedymm search --plan {params.plan} --search {params.search} 2> {log}"
