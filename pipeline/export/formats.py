"""Export: the formats, and which function writes each."""

from pathlib import Path

from pipeline.errors import UserError, did_you_mean
from pipeline.export.onnx import write_onnx
from pipeline.export.safetensors import write_safetensors
from pipeline.export.transformers import require_replaceable, write_transformers
from pipeline.run import Run
from pipeline.utils.files import require_writable


def export(run: Run, kind: str, out: Path) -> None:
    """Write a run for other programs. Logits are calibrated: their plain softmax is what Predictor answers.

    Args:
        kind: "transformers", a folder for `from_pretrained`; "onnx", a file that maps "pixels", uint8 (N, 28, 28), to
            "logits", float32 (N, classes); "safetensors", the weights as they were trained, with the recipe, the
            temperature that divides their logits and the names of the classes as metadata.
        out: the folder or the file. A folder that holds something else than an export is not replaced.

    Raises:
        UserError: the run is damaged or cannot be expressed so, or `out` cannot be written.
    """
    writers = {"transformers": write_transformers, "onnx": write_onnx, "safetensors": write_safetensors}
    if kind not in writers:
        raise UserError(f"--to {kind}: no such format{did_you_mean(kind, writers)} (known: {', '.join(writers)})")
    if kind == "transformers":
        require_replaceable(out)
    else:
        require_writable(out)
    writers[kind](run, out)
