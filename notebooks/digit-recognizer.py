# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Digit Recognizer
#
# From the competition's files to `submission.csv`, in seconds on a CPU. Then a drawing of your own.
#
# - **On Kaggle:** add the competition's data to the notebook (*Add Input*, *Competitions*, *Digit Recognizer*). Add the project as a
#   dataset, or switch the internet on and set `ADDRESS`.
# - **On Colab:** upload `digit-recognizer.zip` to the folder `data`, or save a token as the secret `KAGGLE_API_TOKEN`. Set `ADDRESS`.

# %%
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ADDRESS = ""  # of the project, for pip: git+https://...

if importlib.util.find_spec("pipeline") is None:
    places = [Path.cwd(), *Path.cwd().parents, Path("data"), Path("/kaggle/input")]
    checkouts = [file.parent for place in places for file in [*place.glob("digit_recognizer.py"), *place.glob("*/*/digit_recognizer.py")]]
    if checkouts:
        sys.path.insert(0, str(checkouts[0]))
        os.environ["PYTHONPATH"] = str(checkouts[0])
    else:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"digit-recognizer[kaggle] @ {ADDRESS}"], check=True)

if importlib.util.find_spec("google.colab"):
    from google.colab import userdata

    os.environ["KAGGLE_API_TOKEN"] = userdata.get("KAGGLE_API_TOKEN")

# %% [markdown]
# ## The data
#
# The competition's files are found where Kaggle mounts them, in `data`, or downloaded with your token. Every row is checked.

# %%
import numpy as np
from PIL import Image

from pipeline import Predictor, Run, find_source

source = find_source("auto", Path("data"))
train = source.read_train()
print(source, f"\n{len(train):,} labelled digits")
Image.fromarray(np.hstack([np.vstack(train.pixels[start : start + 4]) for start in range(0, 64, 4)])).resize((896, 224))

# %% [markdown]
# ## A submission
#
# The recipe `fast` trains a small network, evaluates it on rows that were set aside, and predicts the test rows.

# %%
# !{sys.executable} -m pipeline submit --recipe fast --out submission.csv

# %%
run = Run.every()[-1]
Image.open(run.folder / "figures" / "history.png")

# %% [markdown]
# What it gets wrong, of the rows that were set aside:

# %%
Image.open(run.folder / "figures" / "mistakes.png")

# %% [markdown]
# ## The most accurate recipe
#
# `best` is an ensemble of ten networks. It is worth its time on a GPU, or overnight on a CPU.

# %%
import torch

if torch.cuda.is_available():
    # !{sys.executable} -m pipeline submit --recipe best --out submission.csv
    pass

# %% [markdown]
# Submit `submission.csv`: *Save Version*, then *Submit to Competition* on its output; or from a shell, `python -m pipeline kaggle submit`.
#
# ## Your own digits
#
# `sketchpad` ships with the project. It reads drawings and photos, and knows what is no digit.

# %%
from PIL import ImageDraw

drawing = Image.new("L", (280, 200), "white")
pen = ImageDraw.Draw(drawing)
pen.line([(40, 60), (60, 40), (90, 45), (100, 75), (40, 150), (110, 150)], fill="black", width=10, joint="curve")
pen.line([(240, 40), (180, 40), (175, 90), (220, 85), (240, 115), (225, 145), (175, 150)], fill="black", width=10, joint="curve")

reading = Predictor.load("sketchpad").read(drawing)
print(reading)
drawing

# %% [markdown]
# Replace `drawing` by the path of a photo. In a checkout, `make demo` opens a page to draw on.
