"""Any number of images in files, answered: on this machine one after the other, or on many by Ray."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from pipeline.data.formats import DigitFile, find_files
from pipeline.digits import Labels
from pipeline.errors import UserError
from pipeline.inference.outputs import Format, write_shards
from pipeline.kaggle.solution import write_solution
from pipeline.run import Run
from pipeline.utils.files import require_empty, require_writable
from pipeline.utils.imports import import_optional
from pipeline.utils.prefetch import prefetch

Engine = Literal["plain", "ray"]


def predict(
    run: Run | str | Path,
    inputs: Sequence[str],
    out: Path,
    *,
    engine: Engine = "plain",
    form: Format = "csv",
    quiet: bool = False,
) -> int:
    """Answer every image of one or more files and return how many there were. Memory does not grow with them.

    Args:
        run: it, its folder, or its name in `checkpoints/`.
        inputs: files, folders and patterns; see `find_files`.
        out: NAME.csv for the answers to one file, ImageId,Label; any other name for a folder of shards.
        engine: "plain", or "ray" for a cluster; the answers are the same.
        form: of the shards.
        quiet: whether to draw no progress.

    Raises:
        UserError: there is no such run or file, an image in one is faulty, or `out` cannot be written. Nothing is
            written then.
    """
    single = out.suffix == ".csv"
    if single and form != "csv":
        raise UserError(f"{out}: cannot hold {form}; name a folder by --out, without .csv")
    if form == "parquet":
        import_optional("pyarrow")
    (require_writable if single else require_empty)(out)
    files = find_files(inputs)
    if single and len(files) > 1:
        raise UserError(f"{out}: cannot hold the answers to {len(files)} files; name a folder by --out, without .csv")
    if engine == "ray":
        from pipeline.inference.cluster import predict_on_cluster

        predictions = predict_on_cluster(Run.open(run), files)
    else:
        predictions = _predict_here(Run.open(run), files)
    shown = _show_progress(predictions, quiet=quiet)
    return write_solution(out, (digits for _, digits in shown)) if single else write_shards(out, shown, form)


def _predict_here(run: Run, files: Sequence[DigitFile]) -> Iterator[tuple[str, Labels]]:
    """Return each file's name with the digits of its next rows, in order, reading ahead while it predicts."""
    from pipeline.inference.predictor import Predictor

    predictor = Predictor.load(run)
    return prefetch(
        (str(file), predictor.predict(chunk.pixels).known_digits) for file in files for chunk in prefetch(file.chunks())
    )


def _show_progress(predictions: Iterator[tuple[str, Labels]], *, quiet: bool) -> Iterator[tuple[str, Labels]]:
    """Yield the predictions, and count their rows in a progress bar."""
    with tqdm(unit=" rows", unit_scale=True, leave=False, disable=quiet or None) as bar:
        for file, digits in predictions:
            yield file, digits
            bar.update(len(digits))
