"""The page on which anyone draws a number: Gradio over the same predictor that writes solution.csv."""

import os

# Gradio looks at this when it is imported. Without it, it reports home, and without a network its end hangs on that.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
