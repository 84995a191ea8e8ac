"""The command line, `python -m pipeline`: its commands, in the order of `--help`.

Each command is one short function. It imports what it needs when it runs, so that `--help` imports no torch.
"""

import gc
import sys

from typer import Context, Typer

from pipeline.cli.data import data
from pipeline.cli.evaluate import compare, evaluate
from pipeline.cli.kaggle import kaggle
from pipeline.cli.predict import export, predict, read, submit
from pipeline.cli.train import recipes, sweep, train
from pipeline.errors import UserError
from pipeline.utils.distributed import claim_report, world_size

app = Typer(
    help="Handwritten digits: train a recipe, predict, measure, and write a submission for Kaggle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (data, train, sweep, evaluate, compare, predict, read, submit, export, recipes):
    app.command()(command)
app.add_typer(kaggle, name="kaggle", no_args_is_help=True)


@app.callback()
def require_one_process(context: Context) -> None:
    """Refuse to run a command in several processes, except `train`."""
    command = context.invoked_subcommand
    if world_size() > 1 and command != "train":
        raise UserError(f"{command} runs in one process; use torchrun and accelerate launch with train only")


def main() -> None:
    """Run the command line. A UserError is one line on stderr, from one process only, and exit status 2."""
    gc.set_threshold(50_000)  # garbage collection during imports is a quarter of the start-up time, and finds none
    try:
        app()
    except UserError as error:
        if claim_report():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
