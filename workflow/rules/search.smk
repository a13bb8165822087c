"""Searches whose files are missing -> jobs: all trials of a method, then all seeds with the best settings."""


def files_of_search(search):
    """The file of a search and, once that is there, the results with the chosen settings."""
    return [search.path, *evaluated_files(search.finished())]


SEARCHED = []  # files that the page of the zoo waits for
for search in PLAN.searches.values():
    files = files_of_search(search)
    # Results with chosen settings are listed only to be made again: a rule whose list of inputs grows runs once more.
    SEARCHED += [path for path in files if path == search.path or not path.exists()]
    if lacks(files):

        rule:
            name:
                f"search_{search.base.dataset}_{search.base.method}"
            input:
                data=search.base.data_path,
            output:
                [path for path in files if not path.exists()],
            log:
                f"results/logs/search/{search.base.dataset}-{search.base.method}.log",
            benchmark:
                f"results/benchmarks/search/{search.base.dataset}-{search.base.method}.tsv"
            conda:
                "../envs/greedymm.yaml"
            threads: slots
            resources:
                gpu=gpu_slots,
                mem_mb=memory,
            params:
                plan=PLAN.path,
                search=search.id,
            shell:
                "python -m greedymm search --plan {params.plan} --search {params.search:q} 2> {log}"
