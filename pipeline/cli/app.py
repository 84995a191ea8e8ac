"""The command line, `python -m pipeline`, with its commands in the order of `--help`.

Each command is one short function. It imports its dependencies when it runs; `--help` therefore does not import torch.
"""

import gc
import sys
from io import TextIOWrapper

from typer import Context, Typer

from pipeline.cli.data import data
from pipeline.cli.evaluate import compare, evaluate
from pipeline.cli.kaggle import kaggle
from pipeline.cli.predict import export, predict, read, submit
from pipeline.cli.train import recipes, sweep, train
from pipeline.cli.weights import import_weights
from pipeline.errors import UserError
from pipeline.utils.device_errors import report_device_errors
from pipeline.utils.imports import is_optional, missing_package
from pipeline.utils.processes.distributed import claim_report, require_all_processes, skip_finalisation, world_size
from pipeline.utils.processes.interrupts import exit_on_interrupt

app = Typer(
    help="Recognise handwritten digits: train a recipe, evaluate it, predict, and write a submission for Kaggle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (data, train, sweep, evaluate, compare, predict, read, submit, export, recipes):
    app.command()(command)
app.command("import")(import_weights)
app.add_typer(kaggle, name="kaggle", no_args_is_help=True)


@app.callback()
def require_processes(context: Context) -> None:
    """Raise a UserError if a command other than `train` runs in several processes, or `train` in too few."""
    require_all_processes()
    command = context.invoked_subcommand
    if world_size() > 1 and command != "train":
        raise UserError(f"{command} runs in one process; use torchrun and accelerate launch with train only")


@skip_finalisation()
def main() -> None:
    """Run the command line. For a UserError, one process prints one line on stderr, and the exit status is 2.

    So does a file that the system refuses, such as one with too long a name, an optional package that is missing, and
    a device that is not sufficient.

    Ctrl-C and SIGTERM end the program in the same way, with exit status 130 or 143; see `exit_on_interrupt`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal or pipe that cannot print a name shows "?" in it
    gc.set_threshold(50_000)  # garbage collection during imports takes a quarter of the start-up time and frees nothing
    try:
        with exit_on_interrupt(), report_device_errors():
            app()
    except (UserError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError):
            if not is_optional(error):
                raise
            error = missing_package(error)
        if claim_report():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
