"""The command `sidecar`, and `python -m sidecar`: the same. Knows only how it is interrupted."""

import _signal as signal  # type: ignore[import-not-found]  # built in; `signal` loads files


def main() -> None:
    """Run the command line.

    While it is loaded, and when it is done, Ctrl-C ends the process as any other: Python would
    raise KeyboardInterrupt in the middle of an import, and print where. An ignored Ctrl-C, as of
    `nohup sidecar &`, stays ignored.
    """
    raised = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raised:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sidecar.cli import main as run_command

    if raised:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_command()
    finally:
        if raised:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
