"""``python -m lumbargrade`` is the command line."""

from lumbargrade.cli import main

main()
