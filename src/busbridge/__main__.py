"""`python -m busbridge`, the same as the `busbridge` command."""

from busbridge.cli import main

main()
