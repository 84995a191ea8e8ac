"""The examples for clusters that docs/scale.md names, as far as parsers can tell; and its own commands."""

import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from helpers.paths import PROJECT
from torch.distributed.run import get_args_parser
from typer.main import get_command

from pipeline.cli.app import app

EXAMPLES = PROJECT / "docs" / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.sbatch"))
PAGE = (PROJECT / "docs" / "scale.md").read_text()


def job() -> dict[str, dict[str, object]]:
    """Return what the example for Kubernetes declares, by its kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((EXAMPLES / "train-job.yaml").read_text())}


def script_of_the_job() -> str:
    """Return what each of its pods runs."""
    [container] = job()["Job"]["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    assert container["command"] == ["bash", "-c"]
    [script] = container["args"]
    return str(script)


def commands(text: str) -> list[list[str]]:
    """Return the commands of a script or a page that call this project, line ends and comments aside."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines if re.search(r"-m (-- )?pipeline ", line)]
    return [words for words in found if words]


def require_known(words: list[str]) -> None:
    """Fail unless our command line, and torchrun's before it, take these words."""
    words = [word for word in words if word != "${RESUME[@]}"]
    own = words[words.index("pipeline") + 1 :]
    if any(word.endswith("torchrun") for word in words):
        launcher = words[[word.endswith("torchrun") for word in words].index(True) + 1 :]
        launcher = ["2" if word.startswith("$") or word.isupper() else word for word in launcher]
        taken = get_args_parser().parse_args(launcher)
        assert (taken.module, taken.training_script) == (True, "pipeline")
        assert len(taken.training_script_args) == len(own)
    verb, *options = own
    get_command(app).commands[verb].make_context(verb, options)  # type: ignore[attr-defined]


def test_examples_are_named_on_the_page() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(re.findall(r"\(examples/([^)]+)\)", PAGE))


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize("script", [*(path.read_text() for path in SCRIPTS), script_of_the_job()])
def test_scripts_are_bash_and_their_commands_are_ours(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    [words] = commands(script)
    require_known(words)


def test_slurm_reads_its_options_before_the_first_command() -> None:
    for path in SCRIPTS:
        before, _, after = path.read_text().partition("set -euo pipefail")
        assert before.startswith("#!/bin/bash\n")
        assert re.findall(r"^#SBATCH --[a-z-]+(?:=\S+)?$", before, re.MULTILINE)
        assert "#SBATCH" not in after


def test_the_pods_find_one_another_by_the_name_that_the_service_gives() -> None:
    service, training = job()["Service"], job()["Job"]
    assert service["apiVersion"] == "v1"
    assert training["apiVersion"] == "batch/v1"
    name = service["metadata"]["name"]  # type: ignore[index]
    spec = training["spec"]
    assert service["spec"]["selector"] == {"job-name": training["metadata"]["name"]}  # type: ignore[index]
    assert spec["completionMode"] == "Indexed"  # type: ignore[index]
    assert spec["template"]["spec"]["subdomain"] == name  # type: ignore[index]
    assert f"--rdzv_endpoint {training['metadata']['name']}-0.{name}:29400" in script_of_the_job()  # type: ignore[index]
    assert spec["completions"] == spec["parallelism"] == 2  # type: ignore[index]
    assert "--nnodes 2 " in script_of_the_job()


def test_commands_on_the_page_are_ours() -> None:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    found = [words for block in blocks for words in commands(block)]
    assert len(found) >= 8
    for words in found:
        require_known([word.removesuffix("...") for word in words])
