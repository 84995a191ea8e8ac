"""TensorBoard events of a training run."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.utils.files import explain_write_error


class EventFile:
    """A file of TensorBoard events. TensorBoard's own writer would wait for ever if the disk is full.

    Args:
        folder: folder of the event files; a new file is created.
        first_step: TensorBoard discards the events of other files from this step on.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        start = SessionLog(status=SessionLog.START)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_write_error(folder, error) from error
        self._append(Event(wall_time=time.time(), step=first_step, file_version="brain.Event:2"))
        self._append(Event(wall_time=time.time(), step=first_step, session_log=start))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append an event for each metric."""
        for name, value in metrics.items():
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def _append(self, event: Event) -> None:
        """Append an event; raise a UserError if it cannot be written."""
        try:
            with self.path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise explain_write_error(self.path, error) from error
