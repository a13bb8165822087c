"""Files of others -> arrays."""
