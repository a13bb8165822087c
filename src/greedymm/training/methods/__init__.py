"""Training methods: a plug-in each, with `build(settings) -> Method`. `base.py` has the hooks."""
