import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from pipeline import Recipe
from pipeline.utils.device import keep_freed_memory
from pipeline.models import build

keep_freed_memory()
model = build(Recipe.load("fast")).to(memory_format=torch.channels_last)
images = torch.randn(256, 1, 28, 28)

def update():
    with torch.autocast("cpu", torch.bfloat16):
        model(images).float().square().sum().backward()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(10):
    update()
before = faults()
for _ in range(10):
    update()
print((faults() - before) // 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is configured to keep freed memory")
def test_an_update_reuses_the_memory_of_the_previous_one() -> None:
    completed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert int(completed.stdout) < 500  # page faults per update; thousands if memory is returned to the system
