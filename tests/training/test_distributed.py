"""Training on two processes, as torchrun and `accelerate launch` start them."""

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
from helpers.waiting import free_port, until
from torch.nn.functional import cross_entropy

from pipeline import Recipe, Run, Source, UserError
from pipeline.card import Epoch
from pipeline.data.loader import ink, normalise, ordered_loader
from pipeline.models import build
from pipeline.training.network import train_network
from pipeline.training.trainer import require_divisible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in Linux's /proc")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
MEETING = ["--rdzv_backend", "c10d", "--rdzv_endpoint"]


@contextmanager
def launched(folder: Path, *command: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a launcher in `folder`, in a session of its own that a failing test takes down with it."""
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
    """Return a launcher of two processes on this machine; others may be at it beside this test."""
    return [*TORCHRUN, *MEETING, f"127.0.0.1:{free_port()}", *options]


def settings(*overrides: str) -> list[str]:
    """Return the words of `train fast` with some settings, on the practice digits."""
    sets = [word for override in overrides for word in ("--set", override)]
    return ["train", "fast", "--source", "practice", *sets]


def ranks(launcher: "subprocess.Popen[str]") -> dict[str, int]:
    """Return the process of each rank that a launcher has started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        variables = Path(f"/proc/{child}/environ").read_text().split("\0")
        found |= {line.removeprefix("RANK="): int(child) for line in variables if line.startswith("RANK=")}
    return found


def under_way(folder: Path, launcher: "subprocess.Popen[str]") -> None:
    """Wait until a training has written its second epoch, and so all that there is to keep of its first."""
    history = folder / "history.csv"

    def two_epochs() -> bool:
        return history.exists() and len(history.read_text().splitlines()) > 2

    until(lambda: two_epochs() or launcher.poll() is not None, "the second epoch does not end", 300)
    assert launcher.poll() is None, launcher.communicate()


WHOLE = ["epochs=3", "minimum_updates=0", "batch_size=32", "gradient_accumulation=2", "precision=float32"]
OF_1001 = [*WHOLE, "validation_fraction=0.7718"]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Outcome]:
    """A run of two processes, with 1,001 rows set aside, in an empty folder."""
    folder = tmp_path_factory.mktemp("together")
    with launched(folder, *torchrun(), "-m", "--", "pipeline", *settings(*OF_1001)) as launcher:
        out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    [run] = (folder / "checkpoints").iterdir()
    return Run(run), Outcome(launcher.returncode, out, err)


def test_two_processes_leave_one_run_and_speak_with_one_voice(together: tuple[Run, Outcome]) -> None:
    run, outcome = together
    assert run.card.finished
    assert run.card.processes == 2
    assert (run.folder / "report.txt").exists()
    for words in ("fast on 2 x cpu in float32", "epoch  train loss", "\n  3/3 ", "Validation accuracy: "):
        assert outcome.out.count(words) == 1
    assert (run.folder / "training.log").read_text().count("epoch  train loss") == 1


def test_two_processes_validate_the_model_that_is_kept_on_each_row_once(
    together: tuple[Run, Outcome], practice: Source
) -> None:
    run, _ = together
    recipe = run.require_digits()
    _, validation = practice.read_train().split(recipe.validation_fraction, recipe.seed)
    assert len(validation) == run.card.validation_rows == 1001
    model = build(recipe).eval()
    model.load_state_dict(run.load_model())
    with torch.inference_mode():
        logits = torch.cat([model(normalise(ink(pixels), recipe)) for pixels, _ in ordered_loader(validation, 77)])
    labels = torch.from_numpy(validation.known_labels.copy())
    expected = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing).item()
    assert run.card.scores["validation_loss"] == pytest.approx(expected, rel=1e-4)
    right = (logits.argmax(1) == labels).sum().item()
    assert run.card.scores["validation_accuracy"] * 1001 == pytest.approx(right, abs=1)


def test_two_processes_make_the_updates_of_one(together: tuple[Run, Outcome], practice: Source, tmp_path: Path) -> None:
    alone = train_network(Recipe.load("fast", OF_1001), practice, str(tmp_path / "alone"), quiet=True)
    # The rate of one-cycle depends on the updates before: it begins each epoch where it does for one process.
    assert [epoch.learning_rate for epoch in together[0].history] == [epoch.learning_rate for epoch in alone.history]
    for ours, theirs in zip(together[0].history, alone.history, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.25)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What each of two processes saw of `distributed_worker.py`."""
    folder = tmp_path_factory.mktemp("seen")
    with launched(folder, *torchrun(), PROJECT / "tests" / "helpers" / "distributed_worker.py", folder) as launcher:
        _, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, err
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_data_are_made_by_one_process_and_found_by_the_other(seen: list[dict[str, object]]) -> None:
    assert [each["found"] for each in seen] == [False, True]
    assert [each["from main"] for each in seen] == [0, 0]


def test_a_process_with_the_rows_in_another_order_is_refused(seen: list[dict[str, object]]) -> None:
    assert "refused" not in seen[0]
    assert "not the same rows as in the first process" in str(seen[1]["refused"])


def test_each_process_takes_its_share_of_a_batch_and_warps_it_in_its_own_way(seen: list[dict[str, object]]) -> None:
    assert [each["batch"] for each in seen] == [128, 128]
    assert seen[0]["warps"] != seen[1]["warps"]


def test_1001_rows_stay_1001(seen: list[dict[str, object]]) -> None:
    assert seen[0]["right of 1001"] == seen[1]["right of 1001"]
    assert float(str(seen[0]["right of 1001"])) == pytest.approx(round(float(str(seen[0]["right of 1001"]))))


def test_training_stops_for_all_when_the_first_process_sees_no_improvement(seen: list[dict[str, object]]) -> None:
    assert [each["out of patience"] for each in seen] == [[False, False, False, True]] * 2


def test_a_hook_is_asked_once_and_ends_all_processes(seen: list[dict[str, object]]) -> None:
    assert [each["asked"] for each in seen] == [[1, 2, 3], []]
    assert [each["ended by"] for each in seen] == ["enough", "enough"]


def test_when_a_process_is_killed_the_other_says_how_to_go_on_and_one_process_does(
    tmp_path: Path, practice: Source
) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    long = ["epochs=24", "minimum_updates=0"]
    with launched(tmp_path, *torchrun(), "-m", "--", "pipeline", *settings(*long), "--run", "mine") as launcher:
        under_way(folder, launcher)
        os.kill(ranks(launcher)["0"], signal.SIGKILL)
        _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    recipe = "checkpoints/mine/recipe.yaml"
    assert told == [
        "error: another process of this training was lost, or cannot be reached; "
        f"to resume: python -m pipeline train {recipe} --run checkpoints/mine --resume"
    ]
    run = Run.open(folder)
    assert run.load_model()
    before = run.history
    assert 1 <= len(before) < 24
    train_network(Recipe.load("fast", long), practice, str(folder), resume=True, quiet=True)
    assert [epoch.epoch for epoch in run.history] == list(range(1, 25))
    assert run.card.finished
    assert run.card.scores["validation_loss"] < before[0].validation_loss


def test_two_processes_go_on_with_the_run_of_one(tmp_path: Path, practice: Source) -> None:
    recipe = Recipe.load("fast", WHOLE)
    alone = train_network(recipe, practice, str(tmp_path / "alone"), quiet=True)

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "checkpoints" / "mine"
    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, practice, str(folder), on_epoch=stop, quiet=True)
    go_on = ["train", "checkpoints/mine/recipe.yaml", "--source", "practice", "--run", "mine", "--resume", "--quiet"]
    with launched(tmp_path, *ACCELERATE, "--main_process_port", str(free_port()), "-m", "pipeline", *go_on) as launcher:
        out, err = launcher.communicate(timeout=300)
    assert (launcher.returncode, out) == (0, ""), err
    run = Run(folder)
    assert run.card.finished
    assert [epoch.learning_rate for epoch in run.history] == [epoch.learning_rate for epoch in alone.history]
    assert run.history[-1].train_loss == pytest.approx(alone.history[-1].train_loss, rel=0.25)


LEFT = {"by an error": ("raise UserError('lost')", (0, "lost\n")), "at its end": ("pass", (-signal.SIGTERM, ""))}


@pytest.mark.parametrize(("block", "end"), LEFT.values(), ids=LEFT)
def test_sigterm_ends_a_process_but_not_before_it_has_told_why_it_ends(block: str, end: tuple[int, str]) -> None:
    lines = [
        "import os, signal",
        "from pipeline.errors import UserError",
        "from pipeline.utils.distributed import defer_sigterm",
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
    assert (process.returncode, process.stdout) == end


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_launcher_leaves_a_run_to_go_on_with_and_one_line(sent: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "mine"
    long = settings("epochs=1000", "minimum_updates=0")
    with launched(tmp_path, *torchrun(), "-m", "--", "pipeline", *long, "--run", "mine") as launcher:
        under_way(folder, launcher)
        if sent is signal.SIGINT:  # a terminal's Ctrl-C reaches all of them
            os.killpg(launcher.pid, sent)
        else:  # a scheduler's end of a job reaches the launcher
            launcher.send_signal(sent)
        out, err = launcher.communicate(timeout=60)
    assert (out + err).count("Stopped in epoch ") == 1
    assert "error: " not in out + err
    assert Run.open(folder).load_progress()["history"]


@pytest.mark.parametrize("words", [["submit"], ["sweep", "fast", "--trials", "1"], ["recipes"]])
def test_what_one_process_does_is_refused_to_several(
    words: list[str], command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = command(*words)
    assert outcome.status == 2
    assert outcome.err == (
        f"error: {words[0]} runs in one process; use torchrun and accelerate launch with train only\n"
    )


def test_fine_tuning_is_refused_to_several(practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.config.fine_tuning import FineTuning
    from pipeline.training.fine_tune import fine_tune

    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="tunes it in one process here"):
        fine_tune(FineTuning.load("even-odd"), practice, str(tmp_path / "run"))


def test_a_batch_that_cannot_be_divided_is_refused_with_one_that_can() -> None:
    require_divisible(128, 4)
    with pytest.raises(UserError, match=r"batch of 128 images cannot be divided among 3 .*--set batch_size=126"):
        require_divisible(128, 3)
    with pytest.raises(UserError, match="--set batch_size=64"):
        require_divisible(2, 64)


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Two hosts with a cable between them, made of network namespaces: the name of each, and its address."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("only root with Debian's iproute2 can make network namespaces")
    made = {f"digits{os.getpid()}{end}": f"10.213.0.{place}" for place, end in enumerate("ab", start=1)}
    first, second = made

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    try:
        try:
            for host in made:
                ip("netns", "add", host)
            ip("-n", first, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", second)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine lets nobody make network namespaces: {error.stderr.strip()}")
        for host, address in made.items():
            ip("-n", host, "link", "set", "lo", "up")
            ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", host, "link", "set", "cable", "up")
        yield made
    finally:
        for host in made:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


def test_two_machines_that_share_no_disk_train_one_run(
    hosts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "GLOO_SOCKET_IFNAME", "cable")
    meeting = [*TORCHRUN[:-1], "1", "--nnodes", "2", *MEETING, f"{next(iter(hosts.values()))}:29400"]
    with ExitStack() as stack:
        launchers = []
        for host, address in hosts.items():
            (tmp_path / host).mkdir()
            # Neither host knows its address by its name: they are told who is where.
            place = ["--local_addr", address, "--rdzv_conf", f"is_host={int(host.endswith('a'))}"]
            command = [*meeting, *place, "-m", "--", "pipeline", *settings(*WHOLE), "--run", "mine"]
            launchers.append(stack.enter_context(launched(tmp_path / host, "ip", "netns", "exec", host, *command)))
        ended = [launcher.communicate(timeout=300) for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], ended
    folders = [tmp_path / host / "checkpoints" / "mine" for host in hosts]
    [folder] = [folder for folder in folders if folder.exists()]  # the machines settle which of them is the first
    assert Run(folder).card.finished
    assert len(Run(folder).history) == 3
    assert sorted("fast on 2 x cpu" in out for out, _ in ended) == [False, True]
