"""The page: a Gradio app that recognises drawn numbers with the predictor that also writes solution.csv."""

import os
import sys

# Must be set before Gradio is imported. Otherwise Gradio sends analytics, and its shutdown hangs without a network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Nor does it summarise, with pandas, how long each event took.
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
