"""The imports of the package have no circle, and none of them runs up; those inside of functions count too."""

import ast
from pathlib import Path

import tfkor

PACKAGE = Path(tfkor.__file__).parent
# From the ground up: each part may import those above it in this list, and itself
ROOMS = (
    *("version", "lazy", "files", "tensor_files", "text", "data", "layers", "models", "training", "pretraining"),
    *("metrics", "tasks", "known", "interop", "export", "hub", "zoo", "recipes", "scripts"),
)


def modules():
    """{name: path} of the modules of the package, "tfkor.models" for the __init__.py of a folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path, known):
    """The modules of the package that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names += [
                whole if (whole := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
            ]
    return {name for name in names if name in known}


def graph():
    known = modules()
    return {name: imports_of(path, known) - {name} for name, path in known.items()}


def circle_in(edges):
    """A list of names that lead back to the first one, or None."""
    done = set()

    def search(name, way):
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        found = next((c for each in sorted(edges.get(name, ())) if (c := search(each, [*way, name]))), None)
        done.add(name)
        return found

    return next((found for name in sorted(edges) if (found := search(name, []))), None)


def room_of(name):
    return name.split(".")[1] if "." in name else ""


def is_above(other, name):
    """Whether a module is further up than another; the package itself, which has them all, is below scripts alone."""
    if name == "tfkor" or other == "tfkor":
        return name != "tfkor" and room_of(name) != "scripts"
    return ROOMS.index(room_of(other)) > ROOMS.index(room_of(name))


def test_every_part_has_its_place():
    assert {room_of(name) for name in modules()} - {""} == set(ROOMS)


def test_no_import_runs_up():
    wrong = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in sorted(others)
        if is_above(other, name)
    ]
    assert not wrong, "\n".join(wrong)


def test_there_is_no_circle():
    edges = graph()
    del edges["tfkor"]  # imports all of them at first use
    found = circle_in(edges)
    assert found is None, " -> ".join(found)


def test_a_circle_is_found():
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
