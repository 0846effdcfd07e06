"""`python -m sidecar`: the same as the command `sidecar`. Knows nothing else."""

from sidecar.cli import main

if __name__ == "__main__":
    main()
