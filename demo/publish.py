"""Upload of an assembled Space, `python -m demo.publish FOLDER USER/NAME`, which `make space SPACE=USER/NAME` runs."""

import sys
from pathlib import Path

from pipeline import UserError, upload_to_hub

RENEWED = ["pipeline/*", "demo/*", "checkpoints/*"]
"""Files of the Space that an upload removes if they are no longer in the folder."""


def main() -> None:
    """Upload the folder; print the Space's address, or a UserError as one line on stderr and exit with status 2."""
    folder, space = sys.argv[1:]
    try:
        print(upload_to_hub(Path(folder), space, space=True, renewed=RENEWED))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
