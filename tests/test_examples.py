"""The cluster examples in docs/examples, and the commands in docs/scale.md; parsers check them, nothing is run."""

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
SCALE_PAGE = (PROJECT / "docs" / "scale.md").read_text()


def kubernetes_objects() -> dict[str, dict[str, object]]:
    """Return the objects of the Kubernetes example by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all((EXAMPLES / "train-job.yaml").read_text())}


def pod_script() -> str:
    """Return the script that each pod of the Kubernetes job runs."""
    [container] = kubernetes_objects()["Job"]["spec"]["template"]["spec"]["containers"]  # type: ignore[index]
    assert container["command"] == ["bash", "-c"]
    [script] = container["args"]
    return str(script)


def pipeline_commands(text: str) -> list[list[str]]:
    """Return the commands in a script or page that call this project, without line continuations and comments."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines if re.search(r"-m (-- )?pipeline ", line)]
    return [words for words in found if words]


def assert_parses(words: list[str]) -> None:
    """Fail unless the command line, and torchrun's if it comes first, accept these words."""
    words = [word for word in words if word != "${RESUME[@]}"]
    arguments = words[words.index("pipeline") + 1 :]
    if any(word.endswith("torchrun") for word in words):
        launcher = words[[word.endswith("torchrun") for word in words].index(True) + 1 :]
        launcher = ["2" if word.startswith("$") or word.isupper() else word for word in launcher]
        parsed = get_args_parser().parse_args(launcher)
        assert (parsed.module, parsed.training_script) == (True, "pipeline")
        assert len(parsed.training_script_args) == len(arguments)
    verb, *options = arguments
    get_command(app).commands[verb].make_context(verb, options)  # type: ignore[attr-defined]


def test_the_page_links_all_examples() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(re.findall(r"\(examples/([^)]+)\)", SCALE_PAGE))


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize("script", [*(path.read_text() for path in SCRIPTS), pod_script()])
def test_scripts_are_valid_bash_and_their_commands_parse(script: str) -> None:
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    [words] = pipeline_commands(script)
    assert_parses(words)


def test_slurm_options_come_before_the_first_command() -> None:
    for path in SCRIPTS:
        before, _, after = path.read_text().partition("set -euo pipefail")
        assert before.startswith("#!/bin/bash\n")
        assert re.findall(r"^#SBATCH --[a-z-]+(?:=\S+)?$", before, re.MULTILINE)
        assert "#SBATCH" not in after


def test_the_pods_meet_at_the_host_name_of_the_service() -> None:
    objects = kubernetes_objects()
    service, training = objects["Service"], objects["Job"]
    assert service["apiVersion"] == "v1"
    assert training["apiVersion"] == "batch/v1"
    name = service["metadata"]["name"]  # type: ignore[index]
    spec = training["spec"]
    assert service["spec"]["selector"] == {"job-name": training["metadata"]["name"]}  # type: ignore[index]
    assert spec["completionMode"] == "Indexed"  # type: ignore[index]
    assert spec["template"]["spec"]["subdomain"] == name  # type: ignore[index]
    assert f"--rdzv_endpoint {training['metadata']['name']}-0.{name}:29400" in pod_script()  # type: ignore[index]
    assert spec["completions"] == spec["parallelism"] == 2  # type: ignore[index]
    assert "--nnodes 2 " in pod_script()


def test_commands_on_the_page_parse() -> None:
    blocks = re.findall(r"^```\n(.*?)^```$", SCALE_PAGE, re.DOTALL | re.MULTILINE)
    found = [words for block in blocks for words in pipeline_commands(block)]
    assert len(found) >= 8
    for words in found:
        assert_parses([word.removesuffix("...") for word in words])
