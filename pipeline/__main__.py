"""Entry point of the command line, `python -m pipeline`."""

import sys

if not __package__:  # `python pipeline` cannot import the package
    print("error: start it in the project's folder with python -m pipeline", file=sys.stderr)
    sys.exit(2)

try:
    from pipeline.cli.app import main
except KeyboardInterrupt:  # `main` handles later interrupts
    sys.exit(130)

if __name__ == "__main__":
    main()
