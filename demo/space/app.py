"""What Hugging Face Spaces starts: the page, for everyone who reaches the Space."""

import sys

from demo.__main__ import main

sys.argv[1:] = ["--host", "0.0.0.0"]
main()
