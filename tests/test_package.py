"""What is installed: the wheel, its data, its scripts, what importing tfkor costs, and the set-up of `make`."""

import ast
import importlib
import importlib.util
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import tfkor

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path.stem for path in (ROOT / "tfkor/scripts").glob("[a-z]*.py"))
SETUP = ROOT / "setup.py"
# what a `make test` around this test hands down
OUTSIDE = ("KERAS_BACKEND", "PYTHONPATH", "EXTRAS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTHON", "VENV")

pytestmark = pytest.mark.skipif(not SETUP.exists(), reason="runs in a checkout or an unpacked source distribution")


def run(*command, cwd, **environment):
    """Runs a program without the settings of this process; returns it completed, with stdout and stderr as text."""
    env = {k: v for k, v in os.environ.items() if k not in OUTSIDE} | environment
    return subprocess.run([str(x) for x in command], cwd=cwd, env=env, capture_output=True, text=True)


def python(*arguments, cwd, **environment):
    done = run(sys.executable, *arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names of the files in a source distribution, and the folder of a wheel that was built from it and unpacked."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    names = (".ci", ".git", ".venv*", "__pycache__", "*.egg-info", "build", "dist", "runs", ".*_cache")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*names))
    python("setup.py", "-q", "sdist", cwd=source)
    with tarfile.open(next(source.glob("dist/*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / f"tfkor-{tfkor.__version__}"
    python("setup.py", "-q", "bdist_wheel", cwd=unpacked)
    with zipfile.ZipFile(next(unpacked.glob("dist/*.whl"))) as archive:
        archive.extractall(folder / "wheel")
    return {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*")}, folder / "wheel"


def files_of(folder):
    paths = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    return {p for p in paths if "__pycache__" not in p and not Path(p).name.startswith(".")}


def requirements(tmp_path, installed):
    """install_requires of setup.py where the given TensorFlow (a version or None) is installed."""
    site_packages = tmp_path / "site-packages"
    if installed:
        info = site_packages / f"tensorflow-{installed}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tensorflow\nVersion: {installed}\n")
    code = """
import json, runpy, setuptools, site, sys
site.getsitepackages = lambda: [sys.argv[1]]
site.getusersitepackages = lambda: sys.argv[1]
setuptools.setup = lambda **fields: print(json.dumps(fields["install_requires"]))
runpy.run_path(sys.argv[2])
"""
    return json.loads(python("-c", code, site_packages, SETUP, cwd=tmp_path))


def test_the_wheel_holds_every_file_of_the_package(built):
    _, wheel = built
    assert files_of(wheel / "tfkor") == files_of(ROOT / "tfkor")


def test_the_source_distribution_can_be_tested_and_read(built):
    names, _ = built
    assert {"LICENSE", "Makefile", "README.md", "pyproject.toml", "tests/test_package.py"} <= names


def test_the_wheel_works_away_from_the_checkout(built, tmp_path):
    _, wheel = built
    code = """
import importlib.resources, tfkor
rows = (importlib.resources.files("tfkor") / "datasets/intents176/train.tsv").read_text("utf-8").splitlines()
print(tfkor.__file__, tfkor.__version__, len({row.split("\\t")[0] for row in rows[1:]}))
"""
    file, version, intents = python("-c", code, cwd=tmp_path, PYTHONPATH=str(wheel)).split()
    assert Path(file) == wheel / "tfkor/__init__.py"
    assert (version, intents) == (tfkor.__version__, "176")


def test_the_metadata_names_licence_and_extras(built):
    _, wheel = built
    info = wheel / f"tfkor-{tfkor.__version__}.dist-info"
    lines = (info / "METADATA").read_text("utf-8").splitlines()
    assert f"Version: {tfkor.__version__}" in lines
    assert "License: Apache-2.0" in lines
    extras = ("bench", "gpu", "jax", "morph", "notebook", "parity", "tensorboard", "test")
    assert {f"Provides-Extra: {extra}" for extra in extras} <= set(lines)
    assert "The tfkor authors" in next(info.rglob("LICENSE")).read_text("utf-8")


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_of_the_wheel_explains_itself(built, tmp_path, script):
    _, wheel = built
    done = run(sys.executable, "-m", f"tfkor.scripts.{script}", "--help", cwd=tmp_path, PYTHONPATH=str(wheel))
    assert f"tfkor.scripts.{script}" in done.stdout, done.stdout + done.stderr
    assert "  --" in done.stdout
    assert "Traceback" not in done.stderr
    if script.startswith("run_") and script != "run_pretraining":
        assert all(f"--{name}" in done.stdout for name in ("model_dir", "train_file", "learning_rate"))


@pytest.mark.parametrize("installed", [None, "2.18.1", "2.22.0"])
def test_tensorflow_is_any_tested_version_where_none_is_installed(tmp_path, installed):
    required = requirements(tmp_path, installed)
    assert {"tensorflow>=2.19,<2.22", "tensorflow-text>=2.19,<2.22", "tf-keras>=2.19,<2.22"} <= set(required)


@pytest.mark.parametrize("installed", ["2.19.0", "2.19.1", "2.20.0", "2.21.0"])
def test_an_installed_tensorflow_is_kept(tmp_path, installed):
    minor = installed[:4]
    required = requirements(tmp_path, installed)
    assert {f"tensorflow=={minor}.*", f"tensorflow-text=={minor}.*", f"tf-keras=={minor}.*"} <= set(required)


def test_importing_tfkor_imports_nothing_heavy():
    code = "import sys, tfkor; print([m for m in ('tensorflow', 'keras', 'jax', 'numpy') if m in sys.modules])"
    assert python("-c", code, cwd=ROOT) == "[]\n"


@pytest.mark.parametrize("name", ["AlbertConfig", "TextClassifier"])
def test_what_is_imported_first_registers_all_architectures(name):
    """So that Keras loads a model.keras with a Bert in it, whatever of tfkor was imported."""
    code = f"""
from tfkor import {name}
import keras
from tfkor.models.registry import ARCHITECTURES
names = ["tfkor>" + encoder for _, encoder, _ in ARCHITECTURES.values()]
print([name for name in names if keras.saving.get_registered_object(name) is None])
"""
    assert python("-c", code, cwd=ROOT) == "[]\n"


def test_programs_explain_themselves_without_keras():
    """So that --help takes a moment; but for quickstart, which has no flags to speak of."""
    names = [name for name in SCRIPTS if name != "quickstart"]
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module("tfkor.scripts." + name)
    print(name, [module for module in ("tensorflow", "keras", "jax") if module in sys.modules])
"""
    assert python("-c", code, *names, cwd=ROOT).splitlines() == [f"{name} []" for name in names]


def test_public_names_resolve():
    for name in tfkor.__all__:
        assert getattr(tfkor, name) is not None
    for room in pkgutil.iter_modules(tfkor.__path__):
        module = importlib.import_module(f"tfkor.{room.name}")
        missing = [name for name in getattr(module, "__all__", []) if not hasattr(module, name)]
        assert not missing, f"tfkor.{room.name}.__all__ names {missing}"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        tfkor.nonsense  # noqa: B018


ROOMS_WITHOUT_TENSORFLOW = ("data", "layers", "models", "pretraining", "tasks", "training")


def imports_of(file):
    """Names of the modules that are imported when `file` is."""
    return set(imports_outside_functions(ast.parse(file.read_text(encoding="utf-8"))))


def imports_outside_functions(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module
        elif not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from imports_outside_functions(child)


@pytest.mark.parametrize("room", ROOMS_WITHOUT_TENSORFLOW)
def test_no_import_of_tensorflow_outside_functions(room):
    files = sorted((ROOT / "tfkor" / room).rglob("*.py"))
    assert files
    for file in files:
        assert not {name for name in imports_of(file) if name.startswith(("tensorflow", "tf_keras"))}, file
    assert "tensorflow" in set(
        imports_outside_functions(ast.parse((ROOT / "tfkor/hub.py").read_text(encoding="utf-8")))
    )


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="Keras runs without TensorFlow on JAX alone")
def test_models_and_training_do_not_import_tensorflow():
    code = """
import importlib, pkgutil, sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tensorflow_text", "tensorflow_hub", "tf_keras"):
            raise ImportError(f"{name} is imported")
sys.meta_path.insert(0, Forbid())
for name in sys.argv[1:]:
    room = importlib.import_module("tfkor." + name)
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
        print(module.name)
"""
    assert "tfkor.models.bert\n" in python("-c", code, *ROOMS_WITHOUT_TENSORFLOW, cwd=ROOT, KERAS_BACKEND="jax")


@pytest.fixture
def make(tmp_path):
    """Runs `make` with an environment in a temporary folder, and pythons that the test names."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()

    def add(name, script):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    def call(target, *variables):
        tools = f"{programs}:/usr/bin:/bin"
        return run("make", target, f"VENV={tmp_path / 'venv'}", *variables, cwd=ROOT, PATH=tools)

    call.add = add
    return call


def test_make_takes_the_first_python_that_runs_and_is_supported(make, tmp_path):
    make.add("python3.13", "echo 'a shim without a version behind it' >&2; exit 127")
    make.add("python3.12", "exit 1")  # what the check of an older version gives
    python311 = f"""
# the third
case "$2" in
  venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";;
  *) exec "{sys.executable}" "$@";;
esac"""
    make.add("python3.11", python311)
    done = make("venv")
    assert done.returncode == 0, done.stderr
    assert "# the third" in (tmp_path / "venv/bin/python").read_text()


def test_make_says_which_pythons_it_tried(make, tmp_path):
    done = make("test", "PYTHON=/nowhere/python3.12")
    assert done.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in done.stderr and "/nowhere/python3.12" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_that_the_module_venv_is_missing(make):
    make.add("bare", f'case "$2" in *ensurepip*) exit 1;; esac; exec "{sys.executable}" "$@"')
    done = make("test", "PYTHON=bare")
    assert done.returncode != 0
    assert f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in done.stderr


def test_make_does_not_touch_an_environment_that_does_not_run(make, tmp_path):
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "gone")
    done = make("lint")
    assert done.returncode != 0
    assert f"Delete {tmp_path / 'venv'}" in done.stderr
