"""The import rules: which module may know which other, and which owns a library."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "lumbargrade"

VOCABULARY = {
    "labels",
    "arrays",
    "config",
    "crop_settings",
    "recipe_settings",
    "settings",
    "geometry",
    "records",
    "stacks",
    "atomic_files",
    "ensemble_settings",
}
KNOW_BOTH_STAGES = {"pipeline", "recipe", "one_member", "member_steps", "bench", "cli"}
LEARNING_LIBRARIES = {
    "torch",
    "torchvision",
    "timm",
    "segmentation_models_pytorch",
    "lightning",
    "kornia",
    "safetensors",
    "monai",
    "huggingface_hub",
}
OWNERS = {
    "pydicom": {"dicom"},
    "highdicom": {"dicom"},
    "gdcm": {"dicom"},
    "pandas": {"competition", "evaluation", "evaluation_points"},
    "typer": {"cli"},
    "rich": {"cli"},
    "matplotlib": {"plots"},
}
"""Library → the only modules or packages that may import it."""


LIGHT_ROOMS = VOCABULARY | {
    "",
    "competition",
    "dicom",
    "phantom",
    "folds",
    "metric",
    "agreement",
    "any_severe",
    "breakdown",
    "curves",
    "resampling",
    "resampled_agreement",
    "intervals",
    "paired",
    "evaluation",
    "scorecard",
    "plots",
    "point_errors",
    "point_samples",
    "point_intervals",
    "point_histograms",
    "evaluation_points",
    "point_confidence",
    "point_reliability",
}
"""What must start without a learning library, whatever is imported inside its functions."""


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    """Dotted, below the package, e.g. ``dicom.read``; a package's own name for its __init__."""
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first part of the name: the package or the module at the top."""
        return self.name.partition(".")[0]


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, ast.parse(path.read_text(), filename=str(path)))
    return found


def imported_names(module: Module, *, at_import_only: bool = False) -> Iterator[str]:
    """Every dotted name that a module imports, function bodies included unless told otherwise."""
    nodes = module_level(module.tree) if at_import_only else ast.walk(module.tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_level(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from module_level(node)


@cache
def own_imports(module: Module, *, at_import_only: bool = False) -> set[str]:
    """The modules of this package that a module imports, resolved to files."""
    found = set()
    for name in imported_names(module, at_import_only=at_import_only):
        if name.partition(".")[0] == PACKAGE.name:
            parts = name.split(".")[1:]
            while parts and ".".join(parts) not in modules():
                parts.pop()
            found.add(".".join(parts))
    return found - {module.name}


def libraries(module: Module) -> set[str]:
    return {name.partition(".")[0] for name in imported_names(module)}


def rooms_imported(module: Module) -> set[str]:
    return {name.partition(".")[0] for name in own_imports(module)}


def reachable(start: str) -> set[str]:
    """Modules that may be imported, sooner or later, by running a module's code."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            module = modules()[name]
            is_package = module.path.name == "__init__.py"
            waiting.extend(own_imports(module, at_import_only=is_package))
            waiting.extend(parent for parent in parents(name) if parent != "cli")
    return seen


def parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(len(parts)):
        yield ".".join(parts[:length])


def test_the_rules_are_checked_on_real_modules() -> None:
    assert VOCABULARY | {"competition", "dicom", "phantom", "cli.app"} <= set(modules())
    assert "labels" in own_imports(modules()["records"])
    assert "numpy" in libraries(modules()["geometry"])


def test_the_vocabulary_imports_nothing_above_it() -> None:
    for module in (modules()[name] for name in VOCABULARY):
        assert rooms_imported(module) <= VOCABULARY, module.path
        assert not libraries(module) & (LEARNING_LIBRARIES | set(OWNERS)), module.path


def test_a_library_stays_with_its_owner() -> None:
    for module in modules().values():
        for library in libraries(module) & set(OWNERS):
            assert module.room in OWNERS[library], f"{module.path} imports {library}"


def test_stages_do_not_know_each_other() -> None:
    for module in modules().values():
        imports = rooms_imported(module)
        if module.room == "detector":
            assert "classifier" not in imports, module.path
        elif module.room == "classifier":
            assert "detector" not in imports, module.path
        elif module.room == "training":
            assert not imports & {"detector", "classifier"}, module.path
        elif module.room not in KNOW_BOTH_STAGES:
            assert not {"detector", "classifier"} <= imports, module.path


def test_nothing_but_the_entry_point_imports_the_command_line() -> None:
    for module in modules().values():
        if module.name != "__main__" and module.room != "cli":
            assert "cli" not in rooms_imported(module), module.path


def test_only_the_command_line_prints() -> None:
    for module in modules().values():
        if module.room == "cli":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{module.path}, line {node.lineno}"
            if isinstance(node, ast.Attribute):
                stream = ast.unparse(node)
                assert stream not in ("sys.stdout", "sys.stderr"), f"{module.path}: {stream}"


def test_every_module_says_what_it_is_and_asserts_nothing() -> None:
    for module in modules().values():
        assert ast.get_docstring(module.tree), f"{module.path} has no docstring"
        for node in ast.walk(module.tree):
            assert not isinstance(node, ast.Assert), f"{module.path}, line {node.lineno}: raise"
        assert "__future__.annotations" not in imported_names(module), module.path


def test_no_modules_import_each_other_in_a_circle() -> None:
    open_now: list[str] = []
    done: set[str] = set()

    def visit(name: str) -> None:
        assert name not in open_now, f"circle: {' → '.join([*open_now, name])}"
        if name in done:
            return
        open_now.append(name)
        for other in sorted(own_imports(modules()[name], at_import_only=True)):
            visit(other)
        open_now.pop()
        done.add(name)

    for name in modules():
        visit(name)


def test_light_modules_never_reach_torch() -> None:
    starts = [name for name, module in modules().items() if module.room in LIGHT_ROOMS]
    for start in [
        *starts,
        "cli.compare",
        "cli.evaluate",
        "cli.inspect",
        "cli.phantom",
        "cli.phantom_check",
    ]:
        for name in reachable(start):
            module = modules()[name]
            is_package = module.path.name == "__init__.py"
            imports = imported_names(module, at_import_only=is_package)
            heavy = {imported.partition(".")[0] for imported in imports} & LEARNING_LIBRARIES
            assert not heavy, f"{start or PACKAGE.name} reaches {name}, which imports {heavy}"


def test_help_starts_without_torch_and_other_heavy_libraries() -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['lumbargrade', '--help']\n"
        "try:\n"
        "    runpy.run_module('lumbargrade', run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0, stop.code\n"
        "heavy = {'torch', 'timm', 'lightning', 'pandas', 'scipy', 'matplotlib', 'pydicom'}\n"
        "heavy |= {'onnxruntime', 'ray'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "evaluate" in finished.stdout
