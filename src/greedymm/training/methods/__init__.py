"""Training methods: one module each, found by its name. Each has a function `build`."""
