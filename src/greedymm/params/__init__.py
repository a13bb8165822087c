"""params.yaml -> validated params."""
