"""The steps of the workflow, a module each: the only place where data meets models."""
