"""Results of runs -> the paper's claims: estimates, tests over seeds and verdicts, as a table and as text."""
