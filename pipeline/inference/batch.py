"""Batch prediction of image files, on this machine or on a Ray cluster."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from pipeline.data.formats import DigitFile, find_files, find_paths
from pipeline.digits import Labels
from pipeline.errors import UserError
from pipeline.inference.outputs import Format, write_shards
from pipeline.kaggle.solution import write_solution
from pipeline.run import Run
from pipeline.utils.files import require_empty, require_separate, require_writable
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
    """Predict every image in one or more files and return the number of rows. Memory use is constant.

    Args:
        run: the run, its folder, or its name in `checkpoints/`.
        inputs: files, folders and patterns; see `find_files`.
        out: NAME.csv for the predictions for one file, ImageId,Label; any other name for a folder of shards.
        engine: "plain", or "ray" for a cluster. Both give the same predictions.
        form: file format of the shards.
        quiet: show no progress bar.

    Raises:
        UserError: the run or a file does not exist, an image is invalid, or `out` is not writable, is an input, or is
            inside an input folder. In this case nothing is written.
    """
    single = out.suffix.lower() == ".csv"
    if single and form != "csv":
        raise UserError(f"{out}: cannot contain {form}; give a folder as --out, without .csv")
    if form == "parquet":
        import_optional("pyarrow")
    files = find_files(inputs)
    found = Run.open(run)
    require_separate(out, [*find_paths(inputs), *(file.path for file in files), *found.files])
    (require_writable if single else require_empty)(out)
    if single and len(files) > 1:
        raise UserError(
            f"{out}: cannot contain the predictions for {len(files)} files; give a folder as --out, without .csv"
        )
    if engine == "ray":
        from pipeline.inference.cluster import predict_on_cluster

        predictions = predict_on_cluster(found, files)
    else:
        predictions = _predict_locally(found, files)
    predictions = _show_progress(predictions, quiet=quiet)
    if single:
        return write_solution(out, (digits for _, digits in predictions))
    return write_shards(out, predictions, form)


def _predict_locally(run: Run, files: Sequence[DigitFile]) -> Iterator[tuple[str, Labels]]:
    """Return an iterator over file names with the digits of the file's next rows, in order, with prefetching."""
    from pipeline.inference.predictor import Predictor

    predictor = Predictor.load(run)
    return prefetch(
        (str(file), predictor.predict(chunk.pixels).known_digits) for file in files for chunk in prefetch(file.chunks())
    )


def _show_progress(predictions: Iterator[tuple[str, Labels]], *, quiet: bool) -> Iterator[tuple[str, Labels]]:
    """Yield the predictions and show their number of rows in a progress bar."""
    with tqdm(unit=" rows", unit_scale=True, leave=False, disable=quiet or None) as bar:
        for file, digits in predictions:
            yield file, digits
            bar.update(len(digits))
