"""The error whose message is all that a user needs: what is wrong, why, and what to do."""


class GreedymmError(Exception):
    """Shown on the command line as its message alone, without a traceback."""
