"""Batch prediction of image files, on this machine or on a Ray cluster."""

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from pipeline.data.arrays.array_file import ArrayFile
from pipeline.data.formats import DigitFile, find_files, find_paths
from pipeline.digits import Labels
from pipeline.errors import UserError
from pipeline.inference.inputs import copy_pipes
from pipeline.inference.orientation import orient_file
from pipeline.inference.outputs import Format, write_shards
from pipeline.inference.predictor import Predictor
from pipeline.kaggle.solution import write_solution
from pipeline.run import Run
from pipeline.utils.files import require_empty, require_separate, require_writable
from pipeline.utils.imports import import_optional
from pipeline.utils.prefetch import prefetch
from pipeline.utils.progress import hide_bar

log = logging.getLogger(__name__)

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
        inputs: files, folders and patterns, see `find_files`; or pipes, and "-" for standard input.
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
    with copy_pipes(inputs) as (paths, copies):
        files = find_files(paths)
        found = Run.open(run)
        require_separate(out, [*find_paths(paths), *(file.path for file in files), *found.files])
        (require_writable if single else require_empty)(out)
        if single and len(files) > 1:
            raise UserError(
                f"{out}: cannot contain the predictions for {len(files)} files; give a folder as --out, without .csv"
            )
        for file in files:
            if notes := file.notes():
                log.info("Data: %s: %s", file, ", ".join(notes))
        predictor = Predictor.load(found)
        if engine == "ray":
            from pipeline.inference.cluster import predict_on_cluster

            files = [orient_file(predictor, file, next(file.chunks())) for file in files]
            predictions = predict_on_cluster(found, files)
        else:
            predictions = prefetch((str(file), digits) for file in files for digits in _predict_file(predictor, file))
        predictions = _show_progress(predictions, quiet=quiet)
        if single:
            return write_solution(out, (digits for _, digits in predictions))
        named = _name_pictures(predictions, files)
        return write_shards(out, ((name.removeprefix(copies), digits) for name, digits in named), form)


def _predict_file(predictor: Predictor, file: DigitFile) -> Iterator[Labels]:
    """Yield the digits of the file's next rows, in order, with prefetching."""
    chunks = prefetch(file.chunks())
    first = next(chunks)
    oriented = orient_file(predictor, file, first)
    for chunk in chain([first], chunks) if oriented is file else prefetch(oriented.chunks()):
        yield predictor.predict(chunk.pixels).known_digits


def _name_pictures(
    predictions: Iterator[tuple[str, Labels]], files: Sequence[DigitFile]
) -> Iterator[tuple[str, Labels]]:
    """Yield the predictions with the name of its picture for each image of a folder of pictures."""
    names = {str(file): iter(file.names) for file in files if isinstance(file, ArrayFile) and file.names}
    for file, digits in predictions:
        if file in names:
            yield from ((next(names[file]), digits[row : row + 1]) for row in range(len(digits)))
        else:
            yield file, digits


def _show_progress(predictions: Iterator[tuple[str, Labels]], *, quiet: bool) -> Iterator[tuple[str, Labels]]:
    """Yield the predictions and show their number of rows in a progress bar."""
    with tqdm(unit=" rows", unit_scale=True, leave=False, disable=hide_bar(quiet)) as bar:
        for file, digits in predictions:
            yield file, digits
            bar.update(len(digits))
