"""Export a run to one of the supported formats."""

from pathlib import Path

from pipeline.errors import UserError, did_you_mean
from pipeline.export.onnx import write_onnx
from pipeline.export.safetensors import write_safetensors
from pipeline.export.transformers import require_replaceable, write_transformers
from pipeline.run import Run
from pipeline.utils.files import require_separate, require_writable


def export(run: Run, kind: str, out: Path) -> None:
    """Write a run for other programs.

    Logits are calibrated, except in "safetensors": their softmax equals the probabilities of `Predictor`.

    Args:
        kind: "transformers", a folder for `from_pretrained`; "onnx", a file that maps "pixels", uint8 (N, 28, 28), to
            "logits", float32 (N, classes); "safetensors", a file of the weights as trained, with the recipe, the
            temperature that divides the logits and the class names as metadata.
        out: the folder or the file. A folder is replaced only if it is empty or an earlier export.

    Raises:
        UserError: the format is unknown or does not support the run, the run is damaged or has no model yet, or `out`
            is one of the run's files or cannot be written.
    """
    writers = {"transformers": write_transformers, "onnx": write_onnx, "safetensors": write_safetensors}
    if kind not in writers:
        raise UserError(f"--to {kind}: no such format{did_you_mean(kind, writers)} (known: {', '.join(writers)})")
    run.require_model()
    if kind == "transformers":
        require_replaceable(out)
    else:
        require_separate(out, run.files)
        require_writable(out)
    writers[kind](run, out)
