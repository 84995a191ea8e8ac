"""`data`: find or download the data and check it."""

from pathlib import Path

from pipeline.cli.options import DataDir, Quiet, SourceName, log, log_to_stdout


def data(source: SourceName = "auto", data: DataDir = Path("data"), quiet: Quiet = False) -> None:
    """Find, download or create the data, and check every row."""
    log_to_stdout(quiet)
    check_source(source, data)


def check_source(name: str, data: Path) -> None:
    """Read every row of a source, and log its location and its number of rows."""
    from pipeline.sources.find import find_source

    source = find_source(name, data)
    log.info("Data: %s", source)
    train_rows, test_rows = len(source.read_train()), len(source.read_test())
    log.info("%s training rows, %s test rows", f"{train_rows:,}", f"{test_rows:,}")
