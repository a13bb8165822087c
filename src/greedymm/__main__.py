"""`python -m greedymm`."""

from greedymm.cli import main

main()
