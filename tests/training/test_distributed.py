"""Training on two processes, started by torchrun and `accelerate launch`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from helpers.commands import Outcome
from helpers.paths import PROJECT
from helpers.waiting import free_port, wait_until
from torch.nn.functional import cross_entropy

from pipeline import Recipe, Run, Source, UserError
from pipeline.card import Epoch
from pipeline.data.loader import normalise, ordered_loader, to_ink
from pipeline.models import build
from pipeline.training.network import train_network
from pipeline.training.setup import require_divisible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in Linux's /proc")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
RENDEZVOUS = ["--rdzv_backend", "c10d", "--rdzv_endpoint"]


@contextmanager
def launched(folder: Path, *command: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a launcher in `folder`, in a new session, and kill the session if the test fails."""
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def torchrun(*options: str) -> list[str]:
    """Return a command that launches two processes, on a free port because other tests may run in parallel."""
    return [*TORCHRUN, *RENDEZVOUS, f"127.0.0.1:{free_port()}", *options]


def settings(practice: Source, *overrides: str) -> list[str]:
    """Return the arguments of `train fast` with overrides, on the practice digits."""
    options = [word for override in overrides for word in ("--set", override)]
    return ["train", "fast", "--source", "practice", "--data", str(practice.data_dir), *options]


def ranks(launcher: "subprocess.Popen[str]") -> dict[str, int]:
    """Return the process ids of a launcher's children by rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        variables = Path(f"/proc/{child}/environ").read_text().split("\0")
        found |= {line.removeprefix("RANK="): int(child) for line in variables if line.startswith("RANK=")}
    return found


def wait_for_two_epochs(folder: Path, launcher: "subprocess.Popen[str]") -> None:
    """Wait until the second epoch is written. All files of the first one are then complete."""
    history = folder / "history.csv"

    def has_two_epochs() -> bool:
        return history.exists() and len(history.read_text().splitlines()) > 2

    wait_until(lambda: has_two_epochs() or launcher.poll() is not None, "the second epoch does not end", 300)
    assert launcher.poll() is None, launcher.communicate()


THREE_EPOCHS = ["epochs=3", "minimum_updates=0", "batch_size=32", "gradient_accumulation=2", "precision=float32"]
VALIDATE_1001_ROWS = [*THREE_EPOCHS, "validation_fraction=0.7718"]


@pytest.fixture(scope="module")
def distributed(practice: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Outcome]:
    return train_on_two_processes(tmp_path_factory.mktemp("distributed"), practice)


def train_on_two_processes(folder: Path, practice: Source, *overrides: str) -> tuple[Run, Outcome]:
    """Train on two processes, with 1,001 validation rows, in an empty folder."""
    words = settings(practice, *VALIDATE_1001_ROWS, *overrides)
    with launched(folder, *torchrun(), "-m", "--", "pipeline", *words) as launcher:
        out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    [run] = (folder / "checkpoints").iterdir()
    return Run(run), Outcome(launcher.returncode, out, err)


def test_two_processes_write_one_run_and_one_log(distributed: tuple[Run, Outcome]) -> None:
    run, outcome = distributed
    assert run.card.finished
    assert run.card.processes == 2
    assert (run.folder / "report.txt").exists()
    for words in ("fast on 2 x cpu in float32", "epoch  train loss", "\n  3/3 ", "Validation accuracy: "):
        assert outcome.out.count(words) == 1
    assert (run.folder / "training.log").read_text().count("epoch  train loss") == 1


def test_two_processes_validate_on_each_row_once(distributed: tuple[Run, Outcome], practice: Source) -> None:
    check_validation(distributed[0], practice)


def test_two_processes_validate_the_average_that_is_saved(practice: Source, tmp_path: Path) -> None:
    run, _ = train_on_two_processes(tmp_path, practice, "ema_decay=0.9")
    check_validation(run, practice)


def check_validation(run: Run, practice: Source) -> None:
    """Assert that the scores of a run are those of its model on the 1,001 validation rows."""
    recipe = run.require_digits()
    _, validation = practice.read_train().split(recipe.validation_fraction, recipe.seed)
    assert len(validation) == run.card.validation_rows == 1001
    model = build(recipe).eval()
    model.load_state_dict(run.load_model())
    with torch.inference_mode():
        logits = torch.cat([model(normalise(to_ink(pixels), recipe)) for pixels, _ in ordered_loader(validation, 77)])
    labels = torch.from_numpy(validation.known_labels.copy())
    expected = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing).item()
    assert run.card.scores["validation_loss"] == pytest.approx(expected, rel=1e-4)
    correct = (logits.argmax(1) == labels).sum().item()
    assert run.card.scores["validation_accuracy"] * 1001 == pytest.approx(correct, abs=1)


def test_two_processes_make_the_same_updates_as_one(
    distributed: tuple[Run, Outcome], practice: Source, tmp_path: Path
) -> None:
    alone = train_network(Recipe.load("fast", VALIDATE_1001_ROWS), practice, str(tmp_path / "alone"), quiet=True)
    # The one-cycle rate depends on the number of updates, which is the same as with one process.
    assert [epoch.learning_rate for epoch in distributed[0].history] == [epoch.learning_rate for epoch in alone.history]
    for found, expected in zip(distributed[0].history, alone.history, strict=True):
        assert found.train_loss == pytest.approx(expected.train_loss, rel=0.25)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Run `distributed_worker.py` on two processes and return the observations of each."""
    folder = tmp_path_factory.mktemp("observed")
    with launched(folder, *torchrun(), PROJECT / "tests" / "helpers" / "distributed_worker.py", folder) as launcher:
        _, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_the_main_process_creates_data_and_the_other_finds_them(observed: list[dict[str, object]]) -> None:
    assert [each["found"] for each in observed] == [False, True]
    assert [each["from main"] for each in observed] == [0, 0]


def test_a_process_with_rows_in_another_order_is_rejected(observed: list[dict[str, object]]) -> None:
    assert "refused" not in observed[0]
    assert "the rows here and in the main process differ" in str(observed[1]["refused"])


def test_processes_split_a_batch_and_augment_it_differently(observed: list[dict[str, object]]) -> None:
    assert [each["batch"] for each in observed] == [128, 128]
    assert observed[0]["warps"] != observed[1]["warps"]


def test_each_of_1001_validation_rows_counts_once(observed: list[dict[str, object]]) -> None:
    assert observed[0]["right of 1001"] == observed[1]["right of 1001"]
    assert float(str(observed[0]["right of 1001"])) == pytest.approx(round(float(str(observed[0]["right of 1001"]))))


def test_early_stopping_of_the_main_process_stops_all_processes(observed: list[dict[str, object]]) -> None:
    assert [each["out of patience"] for each in observed] == [[False, False, False, True]] * 2


def test_on_epoch_is_called_once_and_can_stop_all_processes(observed: list[dict[str, object]]) -> None:
    assert [each["asked"] for each in observed] == [[1, 2, 3], []]
    assert [each["ended by"] for each in observed] == ["enough", "enough"]


def test_the_loss_of_a_process_is_reported_and_one_process_can_resume(tmp_path: Path, practice: Source) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    long = ["epochs=12", "minimum_updates=0"]
    with launched(
        tmp_path, *torchrun(), "-m", "--", "pipeline", *settings(practice, *long), "--run", "mine"
    ) as launcher:
        wait_for_two_epochs(folder, launcher)
        os.kill(ranks(launcher)["0"], signal.SIGKILL)
        _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    recipe = "checkpoints/mine/recipe.yaml"
    assert errors == [
        "error: another process of this training was lost or cannot be reached; "
        f"to resume: python -m pipeline train {recipe} --run checkpoints/mine --resume --source practice --data "
        f"{practice.data_dir}"
    ]
    run = Run.open(folder)
    assert run.load_model()
    before = run.history
    assert 1 <= len(before) < 12
    train_network(Recipe.load("fast", long), practice, str(folder), resume=True, quiet=True)
    run = Run.open(folder)
    assert [epoch.epoch for epoch in run.history] == list(range(1, 13))
    assert run.card.finished
    assert run.card.scores["validation_loss"] < before[0].validation_loss


def test_two_processes_resume_the_run_of_one(tmp_path: Path, practice: Source) -> None:
    recipe = Recipe.load("fast", THREE_EPOCHS)
    alone = train_network(recipe, practice, str(tmp_path / "alone"), quiet=True)

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "checkpoints" / "mine"
    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, practice, str(folder), on_epoch=stop, quiet=True)
    resume = ["train", "checkpoints/mine/recipe.yaml", "--source", "practice", "--run", "mine", "--resume", "--quiet"]
    with launched(tmp_path, *torchrun(), "-m", "--", "pipeline", *resume) as launcher:
        out, err = launcher.communicate(timeout=300)
    assert (launcher.returncode, out) == (0, ""), err
    run = Run(folder)
    assert run.card.finished
    assert [epoch.learning_rate for epoch in run.history] == [epoch.learning_rate for epoch in alone.history]
    assert run.history[-1].train_loss == pytest.approx(alone.history[-1].train_loss, rel=0.25)


@pytest.mark.parametrize("options", [[], ["--cpu"]])
def test_accelerate_launch_without_gpus_is_refused_since_it_starts_one_process(
    options: list[str], practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "CUDA_VISIBLE_DEVICES", "")
    words = [*ACCELERATE, *options, "--quiet", "-m", "pipeline", *settings(practice, "epochs=1")]
    with launched(tmp_path, *words) as launcher:
        out, err = launcher.communicate(timeout=300)
    assert (launcher.returncode, out) == (1, "")
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert line.startswith("error: accelerate launch starts a single process without a GPU; use torchrun ")
    assert "Traceback" not in err
    assert not (tmp_path / "checkpoints").exists()


def test_a_process_that_exits_while_a_thread_of_gloo_waits_for_python_is_not_aborted(tmp_path: Path) -> None:
    with launched(tmp_path, *torchrun(), PROJECT / "tests" / "helpers" / "late_thread.py") as launcher:
        _, err = launcher.communicate(timeout=120)
    assert launcher.returncode == 0, err


BLOCKS = {"by an error": ("raise UserError('lost')", (0, "lost\n")), "at its end": ("pass", (-signal.SIGTERM, ""))}


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_sigterm_ends_a_process_after_it_has_reported_its_error(block: str, expected: tuple[int, str]) -> None:
    lines = [
        "import os, signal",
        "from pipeline.errors import UserError",
        "from pipeline.utils.processes.distributed import defer_sigterm",
        "reason = ''",
        "try:",
        f"    with defer_sigterm(): {block}",
        "except UserError as error:",
        "    reason = error",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "print(reason)",
    ]
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**ENVIRONMENT, "WORLD_SIZE": "2"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (process.returncode, process.stdout) == expected


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_launcher_leaves_a_resumable_run_and_prints_one_line(
    sent: signal.Signals, practice: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    long = settings(practice, "epochs=1000", "minimum_updates=0")
    with launched(tmp_path, *torchrun(), "-m", "--", "pipeline", *long, "--run", "mine") as launcher:
        wait_for_two_epochs(folder, launcher)
        if sent is signal.SIGINT:  # Ctrl-C in a terminal reaches all processes
            os.killpg(launcher.pid, sent)
        else:  # a job scheduler signals the launcher
            launcher.send_signal(sent)
        out, err = launcher.communicate(timeout=60)
    assert (out + err).count("Stopped in epoch ") == 1
    assert "error: " not in out + err
    assert Run.open(folder).load_progress()["history"]


@pytest.mark.parametrize("words", [["submit"], ["sweep", "fast", "--trials", "1"], ["recipes"]])
def test_commands_other_than_train_reject_several_processes(
    words: list[str], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = command(*words)
    assert outcome.status == 2
    assert outcome.err == (
        f"error: {words[0]} runs in one process; use torchrun and accelerate launch with train only\n"
    )


def test_fine_tuning_rejects_several_processes(
    practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.config.fine_tuning import FineTuning
    from pipeline.training.fine_tune import fine_tune

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="fine-tuning runs in a single process"):
        fine_tune(FineTuning.load("even-odd"), practice, str(tmp_path / "run"))


def test_an_indivisible_batch_size_is_rejected_with_a_divisible_one() -> None:
    require_divisible(128, 4)
    with pytest.raises(UserError, match=r"batch_size 128 is not divisible by 3 .*--set batch_size=126"):
        require_divisible(128, 3)
    with pytest.raises(UserError, match="--set batch_size=64"):
        require_divisible(2, 64)


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Create two network namespaces joined by a cable, and yield their addresses by name."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    addresses = {f"digits{os.getpid()}{end}": f"10.213.0.{place}" for place, end in enumerate("ab", start=1)}
    first, second = addresses

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    try:
        try:
            for host in addresses:
                ip("netns", "add", host)
            ip("-n", first, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", second)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine forbids network namespaces: {error.stderr.strip()}")
        for host, address in addresses.items():
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", host, "link", "set", "cable", "up")
        yield addresses
    finally:
        for host in addresses:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


def test_two_machines_without_a_shared_disk_train_one_run(
    hosts: dict[str, str], practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "GLOO_SOCKET_IFNAME", "cable")
    command = [*TORCHRUN[:-1], "1", "--nnodes", "2", *RENDEZVOUS, f"{next(iter(hosts.values()))}:29400"]
    with ExitStack() as stack:
        launchers = []
        for host, address in hosts.items():
            (tmp_path / host).mkdir()
            # The hosts cannot resolve their names: give each its address and its role.
            options = ["--local_addr", address, "--rdzv_conf", f"is_host={int(host.endswith('a'))}"]
            full = [*command, *options, "-m", "--", "pipeline", *settings(practice, *THREE_EPOCHS), "--run", "mine"]
            launchers.append(stack.enter_context(launched(tmp_path / host, "ip", "netns", "exec", host, *full)))
        ended = [launcher.communicate(timeout=300) for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], ended
    folders = [tmp_path / host / "checkpoints" / "mine" for host in hosts]
    [folder] = [folder for folder in folders if folder.exists()]  # the machines agree on the main one
    assert Run(folder).card.finished
    assert len(Run(folder).history) == 3
    assert sorted("fast on 2 x cpu" in out for out, _ in ended) == [False, True]
