"""Sources -> HDF5 -> batches. A module here that is named in params.yaml is a dataset."""
