"""Training methods: one module each, found by its name. A module has `build(settings, modalities, streams) -> Greedy`."""
