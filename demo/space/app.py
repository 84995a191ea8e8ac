"""Entry point for Hugging Face Spaces: serves the page on all interfaces."""

import sys

from demo.__main__ import main

sys.argv[1:] = ["--host", "0.0.0.0"]
main()
