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

if not importlib.util.find_spec("pipeline"):
    places = [Path.cwd(), *Path.cwd().parents, Path("/kaggle/input")]
    names = ["digit_recognizer.py", "*/digit_recognizer.py", "*/*/digit_recognizer.py"]
    checkouts = [str(file.parent) for place in places for name in names for file in place.glob(name)]
    if checkouts:
        sys.path.insert(0, checkouts[0])
    else:
        requirement = f"digit-recognizer[kaggle] @ {ADDRESS}"
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", requirement], check=True)

if os.environ.get("COLAB_RELEASE_TAG"):
    from google.colab import userdata

    try:
        os.environ["KAGGLE_API_TOKEN"] = userdata.get("KAGGLE_API_TOKEN")
    except (userdata.SecretNotFoundError, userdata.NotebookAccessError):
        print("There is no secret KAGGLE_API_TOKEN: the competition's files must be in the folder data.")

# %% [markdown]
# ## The data
#
# The competition's files are found in the notebook's input or in `data`, or downloaded with your token. Every row is checked.

# %%
import numpy as np
from PIL import Image

from pipeline import Predictor, Recipe, find_source, submit

source = find_source("auto", Path("data"))
train = source.read_train()
print(f"{source}: {len(train):,} labelled digits")
Image.fromarray(np.hstack([np.vstack(train.pixels[start : start + 4]) for start in range(0, 128, 4)]))

# %% [markdown]
# ## A submission
#
# The recipe `fast` trains a small network, evaluates it on the validation rows, and predicts the test rows.

# %%
submission = submit(Recipe.load("fast"), source, Path("submission.csv"))
print("Validation accuracy:", submission.run.card.validation_in_words)
Image.open(submission.run.folder / "figures" / "history.png")

# %% [markdown]
# Its mistakes on the validation rows:

# %%
Image.open(submission.run.folder / "figures" / "mistakes.png")

# %% [markdown]
# ## The most accurate recipe
#
# `best` is an ensemble of ten networks. Without a GPU it takes the better part of an hour; remove the condition to train it anyway.

# %%
import torch

if torch.cuda.is_available():
    submission = submit(Recipe.load("best"), source, Path("submission.csv"))

# %% [markdown]
# `submission.csv` is complete. On Kaggle, choose *Save Version*, then *Submit to Competition* at its output.
#
# ## Your own digits
#
# `sketchpad` ships with the project. It reads drawings and photos, and rejects what is not a digit.

# %%
from PIL import ImageDraw

drawing = Image.new("L", (280, 200), "white")
pen = ImageDraw.Draw(drawing)
for stroke in (
    [(40, 70), (50, 48), (75, 40), (98, 55), (95, 80), (40, 150), (110, 150)],
    [(235, 40), (180, 40), (175, 90), (215, 85), (238, 115), (222, 145), (175, 150)],
):
    pen.line(stroke, fill="black", width=10, joint="curve")

print(Predictor.load("sketchpad").read(drawing))
drawing

# %% [markdown]
# Give `read` the path of a photo instead. In a checkout, `make demo` opens a page to draw on.
#
# Why these networks read digits so well, and why a drawing must be framed first: the lesson in `docs/lesson.md` of the project goes from
# a linear model to an ensemble in seven commands.
