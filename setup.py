"""Build of the package; the run that ships with the project becomes a part of `pipeline`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["pipeline", "pipeline.*", "demo"]), "pipeline.shipped"],
    package_dir={"pipeline.shipped": "checkpoints"},
    package_data={
        "pipeline": ["**/*.yaml", "**/*.j2"],
        "pipeline.shipped": ["sketchpad/*", "sketchpad/figures/*"],
        "demo": ["static/*", "templates/*"],
    },
)
