"""Reports on runs: scores, figures and pages of mistakes."""

import logging

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it would warn of a home folder that it cannot write to
