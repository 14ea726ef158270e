"""The house keeps its own rules: what may import what, what is named how, what is how large."""

import ast
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
OUR_PACKAGES = {"sebastian_core", "sebastian_adapters", "sebastian_apps"}

VERBS_OF_A_PORT = 12

SHORT = 5
#: How many private functions of fewer than SHORT lines are called from exactly one place. Such a
#: function is worth a page to turn only if its name says more than its body. The number may only
#: fall.
SHORT_HELPERS = 172


def test_every_import_contract_is_kept() -> None:
    lint_imports = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
    ]

    done = subprocess.run(lint_imports, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_core_names_nothing_but_the_standard_library_and_attrs() -> None:
    allowed = sys.stdlib_module_names | {"attrs", "attr", "sebastian_core"}

    strangers = {
        f"{path.relative_to(SOURCE)}: {package}"
        for path in (SOURCE / "sebastian_core").rglob("*.py")
        for package in packages_named_in(path)
        if package not in allowed
    }

    assert strangers == set()


def test_importing_the_whole_core_loads_no_third_party_but_attrs() -> None:
    modules = ["sebastian_core", *module_names(SOURCE / "sebastian_core")]

    loaded = packages_loaded_by(modules) - packages_loaded_by([])

    assert loaded - sys.stdlib_module_names <= {"attr", "attrs", "sebastian_core"}


def test_only_the_container_names_dependency_injector() -> None:
    named_in = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "dependency_injector" in packages_named_in(path)
    }

    assert named_in <= {"sebastian_apps/wiring.py"}


def test_no_port_has_more_than_twelve_verbs() -> None:
    verbs = {
        f"{path.stem}.{port.name}": ast.unparse(port).count("@abstractmethod")
        for path in (SOURCE / "sebastian_core/ports").glob("*.py")
        for port in ast.parse(path.read_text()).body
        if isinstance(port, ast.ClassDef)
    }

    assert verbs["room_repo.RoomRepo"] > 0
    assert {port: number for port, number in verbs.items() if number > 12} == {}


@pytest.mark.parametrize("package", sorted(OUR_PACKAGES))
def test_every_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    assert (SOURCE / package / "py.typed").is_file()


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")}

    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(SOURCE)))

    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_a_port_has_a_handful_of_verbs() -> None:
    too_many = {
        node.name: len(verbs)
        for path in (SOURCE / "sebastian_core" / "ports").glob("*.py")
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and len(verbs := verbs_of(node)) > VERBS_OF_A_PORT
    }

    assert too_many == {}


def test_short_helpers_that_are_called_once_become_fewer() -> None:
    found = sorted(helper for path in SOURCE.rglob("*.py") for helper in short_helpers(path))

    assert len(found) <= SHORT_HELPERS, "\n".join(found)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def verbs_of(port: ast.ClassDef) -> list[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in port.body if isinstance(node, functions)]


def short_helpers(path: Path) -> Iterator[str]:
    """The private functions of a file that are short and named in one other place of it."""
    nodes = list(ast.walk(tree(path)))
    uses = Counter(node.id for node in nodes if isinstance(node, ast.Name))
    uses.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
    for node in nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        is_private = node.name.startswith("_") and not node.name.startswith("__")
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if is_private and uses[node.name] == 1 and lines < SHORT:
            yield f"{path.relative_to(SOURCE)}:{node.lineno}: {node.name}"


def packages_named_in(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def module_names(package: Path) -> list[str]:
    parts = (path.relative_to(SOURCE).with_suffix("").parts for path in package.rglob("*.py"))
    return sorted(".".join(names).removesuffix(".__init__") for names in parts)


def packages_loaded_by(modules: list[str]) -> set[str]:
    """The top-level packages that a fresh interpreter holds after these imports."""
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    return set(json.loads(output))
