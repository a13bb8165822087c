"""Plug-ins of a user's own: found, read without torch, refused with the cure; their files are in the keys."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from greedymm import fingerprint
from greedymm.errors import GreedymmError
from greedymm.params import plugins
from greedymm.params.load import validate
from greedymm.params.plugins import names_of, settings_class
from greedymm.plan import planned
from greedymm.run import Run
from greedymm.steps.check import check

Lab = Callable[..., Path]

METHOD = """
    import torch  # of which the settings need nothing
    from pydantic import Field

    from greedymm.settings import MethodSettings
    from greedymm.training.methods.base import Method

    HALF = 0.5


    class Settings(MethodSettings):
        force: float = Field(default=HALF, gt=0)


    def build(settings):
        return Method(settings)
"""
OF_KIND = {
    "method": METHOD,
    "branch": """
        from greedymm.models.branches.cnn import Settings as Cnn
        from greedymm.models.branches.cnn import build as cnn

        class Settings(Cnn):
            depth: int = 2

        def build(settings, channels):
            return cnn(settings, channels)
    """,
    "measure": """
        from greedymm.settings import MeasureSettings

        class Settings(MeasureSettings):
            pass

        def passes(settings, modalities):
            return {}

        def compute(settings, table, modalities):
            return {"rows": float(len(table))}
    """,
}


def forget() -> None:
    """See files as they are now."""
    for remembered in (plugins.plugins, plugins.file_of, plugins.read_settings, fingerprint.fingerprint):
        remembered.cache_clear()
    for name in ("is_own", "code", "tree", "imports", "read"):
        getattr(fingerprint, f"_{name}").cache_clear()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Writes a module of the user's package `mylab`."""
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    forget()

    def write(name: str, text: str, folder: str = "mylab") -> Path:
        file = tmp_path / folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        forget()
        return file

    yield write
    forget()
    for name in [n for n in sys.modules if n.partition(".")[0] == "mylab"]:
        del sys.modules[name]


def given(*modules: str, **section: Any) -> dict[str, Any]:
    """Raw params that name modules of plug-ins."""
    model = {"branch": {"name": "cnn", "widths": [4, 4]}, "fusion": "mmtm", "fuse_after": [2]}
    training = {"epochs": 1, "batch_size": 8, "learning_rate": 0.1}
    dataset = {"model": model, "training": training, "methods": {"greedy": {}}, "unimodal": False} | section
    return {"plugins": list(modules), "seeds": [0], "datasets": {"colored_mnist_5k": dataset}}


# -- Where they are -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["mylab", "mylab.gentle"], ids=["a package", "a module"])
@pytest.mark.parametrize("kind", OF_KIND)
def test_a_module_that_the_params_name_is_found_by_its_files_name(kind: str, source: str, lab: Lab) -> None:
    lab("gentle", OF_KIND[kind])

    assert "gentle" in names_of(kind, (source,))
    assert not any("gentle" in names_of(other, (source,)) for other in plugins.KINDS if other != kind)
    assert "gentle" not in names_of(kind)


def install(folder: Path, module: str) -> None:
    """What pip leaves of a package whose entry point for methods names a module."""
    info = folder / "mylab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[greedymm.methods]\nmylab = {module}\n")
    forget()


def test_an_installed_package_is_found_by_its_entry_point(lab: Lab, tmp_path: Path) -> None:
    lab("gentle", METHOD)
    install(tmp_path, "mylab")

    assert "gentle" in names_of("method")
    assert "gentle" not in names_of("branch")


def test_an_entry_point_to_a_module_that_does_not_exist_is_named(lab: Lab, tmp_path: Path) -> None:
    lab("gentle", METHOD)
    install(tmp_path, "mylab.nothing")

    with pytest.raises(ValueError, match=r"no module 'mylab\.nothing'"):
        names_of("method")


def test_a_helper_beside_plugins_is_no_plugin(lab: Lab) -> None:
    lab("gentle", METHOD)
    lab("tools", "def average(values):\n    return sum(values) / len(values)\n")

    assert [name for name in names_of("method", ("mylab",)) if name in ("gentle", "tools")] == ["gentle"]


def test_settings_are_read_without_torch_and_so_are_all_names() -> None:
    code = """
        import sys
        import greedymm
        kinds = ("datasets", "branches", "fusions", "heads", "methods", "measures")
        assert all(getattr(greedymm, f"list_{kind}")() for kind in kinds)
        from pathlib import Path
        from greedymm.params.load import load
        from greedymm.plan import planned
        planned(load(Path("params.yaml"), Path("params/paper.yaml")))
        heavy = {"torch", "torchvision", "mlflow", "matplotlib", "scipy", "pandas"} & sys.modules.keys()
        assert not heavy, heavy
    """
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=root, check=True)


# -- In params and keys -------------------------------------------------------------------------------------


def test_settings_of_a_users_method_reach_the_run_and_its_key(lab: Lab) -> None:
    lab("gentle", METHOD)
    soft, hard = (planned(validate(given("mylab", methods={"gentle": {"force": f}})))[0] for f in (0.25, 2.0))

    again = Run.model_validate_json(soft.model_dump_json())

    assert again.settings.method_settings.model_dump() == {"objective": "branch", "force": 0.25}
    assert again.key == soft.key != hard.key


def test_a_statement_of_a_users_file_or_of_what_it_imports_changes_the_key(lab: Lab) -> None:
    lab("gentle", METHOD + "\n    from mylab import tools\n    from . import more\n")
    lab("tools", "FACTOR = 2\n")
    lab("more", "OFFSET = 1\n")
    lab("other", METHOD)

    def key() -> str:
        forget()
        return planned(validate(given("mylab", methods={"gentle": {}})))[0].key

    keys = [key()]
    for name, text in (("tools", "FACTOR = 3\n"), ("more", "OFFSET = 2\n"), ("gentle", METHOD)):
        lab(name, text)
        keys.append(key())
    assert len(set(keys)) == 4
    lab("gentle", METHOD + "    # a remark\n")
    lab("other", METHOD + "\n    FORCE = 3\n")
    assert key() == keys[-1]


def test_a_users_measure_changes_the_key_of_the_evaluation_alone(lab: Lab) -> None:
    lab("rows", OF_KIND["measure"])

    plain, more = (planned(validate(given("mylab", measures=m)))[0] for m in (["utilization"], ["utilization", "rows"]))

    assert plain.folder == more.folder
    assert plain.evaluation_folder != more.evaluation_folder


# -- What is refused ----------------------------------------------------------------------------------------


def refused(*modules: str, **section: Any) -> str:
    with pytest.raises(GreedymmError) as caught:
        check(validate(given(*modules, **section)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (METHOD.replace("def build", "def make_it"), "defines no 'build'"),
        (METHOD.replace("class Settings", "class Options"), "needs a class Settings"),
        (METHOD.replace("MethodSettings", "Strict"), "needs a class Settings that extends one of"),
        (METHOD.replace("HALF = 0.5", "HALF = 1 / 0"), "line 8: the plug-in fails on import: ZeroDivisionError"),
        (METHOD.replace("from pydantic", "from nowhere"), "line 3: the plug-in fails on import: ModuleNotFoundError"),
        (METHOD + "\n    def broken(:\n", "the plug-in fails on import: SyntaxError"),
        (METHOD.replace("HALF = 0.5", "raise SystemExit(3)\n    HALF = 0.5"), "fails on import: SystemExit"),
        (METHOD.replace("return Method(settings)", "return None"), "build must return a Method, not None"),
        (
            re.sub(
                r"class Settings.*?gt=0\)",
                "from greedymm.training.methods.balanced import Settings",
                METHOD,
                flags=re.DOTALL,
            ),
            "imports its Settings: define a class in the file",
        ),
    ],
    ids=[
        "no function",
        "no settings",
        "settings of no kind",
        "settings fail",
        "import fails",
        "no Python",
        "exits",
        "builds nothing",
        "settings of another",
    ],
)
def test_a_plugin_that_is_not_whole_is_refused_with_its_file(text: str, lacks: str, lab: Lab) -> None:
    file = lab("gentle", text)

    message = refused("mylab", methods={"gentle": {}})

    assert str(file) in message
    assert lacks in message


def test_a_plugin_whose_code_fails_on_import_is_refused_before_anything_trains(lab: Lab) -> None:
    file = lab("gentle", METHOD + "\n    OTHER = torch.no_such_thing\n")

    message = refused("mylab", methods={"gentle": {}})

    assert f"{file}, line 18: the plug-in fails on import: AttributeError" in message


def test_two_plugins_of_one_name_are_refused_with_both_files(lab: Lab) -> None:
    file = lab("balanced", METHOD)

    message = refused("mylab", methods={"balanced": {}})

    assert "two plug-ins are the method 'balanced'" in message
    assert str(file) in message
    assert "training/methods/balanced.py" in message


def test_a_module_that_does_not_exist_is_named() -> None:
    assert "no module 'nowhere'" in refused("nowhere")


def test_a_package_without_plugins_is_named(lab: Lab) -> None:
    lab("tools", "FACTOR = 2\n")

    assert "'mylab' has no plug-ins" in refused("mylab")


def test_settings_may_be_imported_in_parts_and_where_a_module_is_optional(lab: Lab) -> None:
    optional = "try:\n    from nowhere import HALF\nexcept ImportError:\n    from mylab.tools import HALF\n"
    lab("gentle", textwrap.dedent(METHOD).replace("HALF = 0.5\n", optional))
    lab("tools", "HALF = 0.25\n")

    assert settings_class("method", "gentle", ("mylab",))().model_dump()["force"] == 0.25


def test_what_is_not_installed_is_followed_also_without_an_init_file(lab: Lab) -> None:
    lab("gentle", METHOD + "\n    import helpers.factors\n")
    lab("factors", "FACTOR = 2\n", folder="helpers")
    lab("__init__", "OFFSET = 1\n", folder="mylab/both")
    lab("both", "OFFSET = 2\n")

    found = fingerprint.reached(frozenset({"mylab.gentle", "mylab.both"}))

    assert {"mylab", "mylab.gentle", "mylab.both", "helpers.factors"} <= found
    file = fingerprint._file("mylab.both", None)
    assert file is not None
    assert file.name == "__init__.py"  # as Python does


def test_an_unknown_name_is_refused_with_those_that_there_are(lab: Lab) -> None:
    lab("gentle", METHOD)

    assert "unknown method 'gentel'; there are: " in refused("mylab", methods={"gentel": {}})
    assert "gentle, greedy" in refused("mylab", methods={"gentel": {}})


CONCAT = {"branch": {"name": "cnn", "widths": [4, 4]}, "fusion": "concat", "head": "joint"}
MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "a group that the network has not": (
        {"model": CONCAT, "methods": {"balanced": {}}, "measures": ["shapley"]},
        "method 'balanced': the network has no parameters fusion.side_0",
    ),
    "a pass that the fusion cannot make": (
        {"model": CONCAT, "methods": {"random": {"objective": "joint"}}},
        "method 'random' needs passes with mode, which the fusion cannot make; it can: detach, hears, present",
    ),
    "a joint head that is not trained": (
        {"model": CONCAT, "methods": {"greedy": {}}},
        "method 'greedy': with a joint head, objective branch trains shares",
    ),
    "a head that does not fit": ({"model": CONCAT | {"head": "own"}}, "fusion 'concat' joins the branches' last"),
    "a fusion that does not fit": (
        {"model": CONCAT | {"fusion": "mmtm", "fuse_after": [2]}},
        "head 'joint' reads joined features, and fusion 'mmtm' joins none",
    ),
    "a stage behind the last": ({"model": CONCAT | {"fuse_after": [1]}}, "leave fuse_after empty"),
    "no stage": (
        {"model": {"branch": "cnn", "fusion": "mmtm"}},
        "fusion 'mmtm' needs fuse_after",
    ),
    "a modality that the dataset has not": (
        {"model": CONCAT | {"branches": {"depth": "cnn"}}},
        "there is no modality ['depth']; there are: color, gray",
    ),
    "no branch": ({"model": {"fusion": "concat", "head": "joint"}}, "modality 'color' has no branch"),
    "unequal stages": (
        {"model": {"branch": "cnn", "fusion": "mmtm", "fuse_after": {"color": [1, 2], "gray": [1]}}},
        "the lists of the modalities must have the same length",
    ),
    "a stage that a branch has not": (
        {"model": {"branch": "cnn", "fusion": "mmtm", "fuse_after": {"color": [4], "gray": [5]}}},
        "the branch of gray has stages 1 to 4, not 5",
    ),
    "a measure twice": ({"measures": ["shapley", {"name": "shapley"}]}, "a measure is listed twice"),
}


@pytest.mark.parametrize(("section", "message"), MISFITS.values(), ids=MISFITS)
def test_parts_that_do_not_fit_are_refused_before_anything_trains(section: dict[str, Any], message: str) -> None:
    assert message in refused(**section)


def test_parts_that_fit_pass(lab: Lab) -> None:
    lab("gentle", METHOD)

    check(
        validate(given("mylab", methods={"gentle": {}, "balanced": {}, "mla": {}}, measures=["utilization", "shapley"]))
    )
    check(validate(given(model=CONCAT, methods={"ogm_ge": {"objective": "joint"}, "agm": {}}, measures=["shapley"])))


# -- Once more in a process of its own ----------------------------------------------------------------------


def test_the_command_line_shows_the_message_alone(lab: Lab, tmp_path: Path) -> None:
    file = lab("gentle", METHOD.replace("HALF = 0.5", "HALF = 1 / 0"))
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(given("mylab", methods={"gentle": {}})))
    path = os.pathsep.join([str(tmp_path), *sys.path])

    done = subprocess.run(
        [sys.executable, "-m", "greedymm", "check", "--params", str(tmp_path / "p.yaml")],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{file}, line 8: the plug-in fails on import: ZeroDivisionError" in done.stderr


def test_settings_of_a_plugin_are_its_own_class(lab: Lab) -> None:
    lab("gentle", METHOD)

    assert settings_class("method", "gentle", ("mylab",)).__module__ == "mylab.gentle"
