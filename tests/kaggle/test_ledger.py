import subprocess
import sys
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
    ("text", "fault"),
    [
        ("sepal,petal\n1,2\n", "its columns are not those of a ledger"),
        ("{header}\n2026-11-21T12:00:00Z,a,ab,,,,,,,,LOST,,\n", "line 2: status"),
        ("{header}\n2026-11-21T12:00:00Z,a,ab,,,,many,,,,ERROR,,\n", "line 2: validation_accuracy"),
        ("{header}\n2026-11-21T12:00:00Z,a\n", "line 2: "),
        ("{header}\n21/11/2026 12:00,a,ab,,,,,,,,ERROR,,\n", "line 2: time"),
        ("{header}\n2026-11-21T12:00:00Z,a,ab,,,,,,,,ERROR,,,one,too,many\n", "line 2: "),
    ],
)
def test_an_invalid_ledger_is_reported_with_its_line(text: str, fault: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.csv")
    ledger.path.write_text(text.replace("{header}", ",".join(Entry.model_fields)))
    with pytest.raises(UserError, match=rf"ledger\.csv.*{fault}"):
        ledger.entries()


def test_only_one_process_sends_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    with Ledger(path).sending_lock(seconds=1):
        Ledger(path).add(entry("a"))  # entries can be added in the meantime
        with pytest.raises(UserError, match="locked by another process"), Ledger(path).sending_lock(seconds=0.1):
            pytest.fail("two processes hold the lock")
    with Ledger(path).sending_lock(seconds=1):
        assert len(Ledger(path).entries()) == 1


def test_an_unmatched_quote_is_named_with_its_line_and_hides_no_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.csv")
    for token in "ab":
        ledger.add(entry(token))
    first, *rows = ledger.path.read_text().splitlines()
    ledger.path.write_text("\n".join([first, '"' + rows[0], rows[1]]))
    with pytest.raises(UserError, match=r"ledger\.csv, line 2 or after: unexpected end of data; correct it"):
        ledger.entries()
