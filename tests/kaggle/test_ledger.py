import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.paths import PROJECT

from pipeline import UserError
from pipeline.kaggle.ledger import Entry, Ledger


def entry(token: str, **known: object) -> Entry:
    first = {"time": "2026-11-21T12:00:00+00:00", "token": token, "file_hash": "ab", "status": "SENDING"}
    return Entry.model_validate(first | known)


def test_each_change_appends_a_row_and_the_latest_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "deep" / "ledger.csv")
    assert ledger.entries() == []
    first = entry("a", recipe="fast", validation_accuracy=0.99321, validation_rows=4200, message='with "two", commas')
    ledger.add(first)
    ledger.add(entry("b"))
    before = ledger.path.read_text()
    scored = first.model_copy(update={"status": "COMPLETE", "ref": "901", "public_score": 0.99357})
    ledger.add(scored)
    assert ledger.path.read_text().startswith(before)
    assert len(ledger.path.read_text().splitlines()) == 4
    assert ledger.entries() == [scored, entry("b")]


def test_concurrent_processes_lose_no_row(tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from pipeline.kaggle.ledger import Entry, Ledger\n"
        "for number in range(20):\n"
        "    token, now = f'{sys.argv[1]}-{number}', datetime.now(UTC)\n"
        "    Ledger(Path('ledger.csv')).add(Entry(time=now, token=token, file_hash='ab', status='SENDING'))\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, name], cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)})
        for name in "xy"
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    tokens = [each.token for each in Ledger(tmp_path / "ledger.csv").entries()]
    assert sorted(tokens) == sorted(f"{name}-{number}" for name in "xy" for number in range(20))


def test_a_missing_newline_at_the_end_is_added_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.csv")
    ledger.add(entry("a"))
    ledger.path.write_text(ledger.path.read_text().rstrip("\n"))
    ledger.add(entry("b"))
    assert [each.token for each in ledger.entries()] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("2026-11-21T12:00:00Z,x,ab,,,,,,,,LOST,,", "status"),
        ("2026-11-21T12:00:00Z,x,ab,,,,many,,,,ERROR,,", "validation_accuracy"),
        ("2026-11-21T12:00:00Z,x", "2 values, expected 13"),
        ("21/11/2026 12:00,x,ab,,,,,,,,ERROR,,", "time"),
        ("2026-11-21T12:00:00Z,x,ab,,,,,,,,ERROR,,,one,too,many", "16 values, expected 13"),
        ('2026-11-21T12:00:00Z,x,ab,,,,,,,,ERROR,,"a quote', "its quotes do not match"),
    ],
)
def test_a_damaged_line_is_named_and_hides_no_other(
    line: str, fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(tmp_path / "ledger.csv")
    for token in "ab":
        ledger.add(entry(token))
    header, *rows = ledger.path.read_text().splitlines()
    ledger.path.write_text("\n".join([header, rows[0], line, rows[1]]))
    ledger.add(entry("c"))
    for _ in range(2):
        assert [each.token for each in ledger.entries()] == ["a", "b", "c"]
    (record,) = caplog.messages
    assert record.startswith(f"{ledger.path}, line 3: is left out: {fault}")
    assert ledger.damaged_lines == {3: line}
    assert line in ledger.path.read_text(), "the line is lost"


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "iris.csv")
    ledger.path.write_text("sepal,petal\n1,2\n")
    with pytest.raises(UserError, match=r"iris\.csv: its columns are not those of a ledger; give another .* --ledger"):
        ledger.entries()


ENTRIES = [
    entry("a", status="COMPLETE", validation_accuracy=0.99452, validation_rows=4200, public_score=0.99321, ref="900"),
    entry(
        "b", status="PENDING", run="checkpoints/my run", message='a "word", and caf\N{LATIN SMALL LETTER E WITH ACUTE}'
    ),
]


def as_excel(text: str, separator: str, *, decimal: str = ",") -> str:
    """Return the text of a ledger as a spreadsheet saves it, with CRLF and a blank last line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    for row in csv.reader(io.StringIO(text)):
        writer.writerow([re.sub(r"^(\d+)\.(\d+)$", rf"\1{decimal}\2", cell) for cell in row])
    return out.getvalue() + separator * (len(Entry.model_fields) - 1) + "\r\n"


FORMS: dict[str, Callable[[str], bytes]] = {
    "semicolons and a byte order mark": lambda text: as_excel(text, ";").encode("utf-8-sig"),
    "semicolons in Windows' encoding": lambda text: as_excel(text, ";").encode("cp1252"),
    "UTF-16 with tabs": lambda text: as_excel(text, "\t").encode("utf-16"),
    "commas": lambda text: as_excel(text, ",", decimal=".").encode("utf-8-sig"),
    "each line in quotes": lambda text: "".join(
        f'"{line.replace(chr(34), 2 * chr(34))}"\r\n' if '"' in line else f"{line}\r\n" for line in text.splitlines()
    ).encode(),
    "other columns first": lambda text: "".join(
        f"note;{line}\n" for line in as_excel(text, ";", decimal=".").splitlines() if line.strip(";")
    ).encode(),
    "no header": lambda text: text.partition("\n")[2].encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_ledger_is_read_and_extended_as_a_spreadsheet_saves_it(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(tmp_path / "ledger.csv")
    for each in ENTRIES:
        ledger.add(each)
    saved = FORMS[form](ledger.path.read_text(encoding="utf-8"))
    ledger.path.write_bytes(saved)
    assert ledger.entries() == ENTRIES
    scored = ENTRIES[1].model_copy(update={"status": "COMPLETE", "public_score": 0.5})
    ledger.add(scored)
    assert ledger.entries() == [ENTRIES[0], scored]
    assert ledger.path.read_bytes().startswith(saved), "a line was changed"
    assert caplog.messages == []


def test_only_one_process_sends_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    with Ledger(path).sending_lock(seconds=1):
        Ledger(path).add(entry("a"))  # entries can be added in the meantime
        with pytest.raises(UserError, match="locked by another process"), Ledger(path).sending_lock(seconds=0.1):
            pytest.fail("two processes hold the lock")
    with Ledger(path).sending_lock(seconds=1):
        assert len(Ledger(path).entries()) == 1
