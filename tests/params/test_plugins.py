"""Plug-ins of a user's own: found, read without torch, refused with the cure; their files are in the keys."""

import importlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greedymm import fingerprint
from greedymm.errors import GreedymmError
from greedymm.params import plugins
from greedymm.params.load import validate
from greedymm.params.plugins import names_of, settings_class
from greedymm.plan import Plan, planned
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
    for value in [*vars(plugins).values(), *vars(fingerprint).values()]:
        if hasattr(value, "cache_clear"):
            value.cache_clear()
    importlib.invalidate_caches()


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
    lab("tools", "def average(values):\n    return sum(values) / len(values)\n")  # a helper

    assert [name for name in names_of(kind, (source,)) if name in ("gentle", "tools")] == ["gentle"]
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
    (tmp_path / "mylab-1.0.dist-info/entry_points.txt").write_text("[greedymm.methods]\nmylab = mylab.nothing\n")
    forget()
    with pytest.raises(ValueError, match=r"no module 'mylab\.nothing'"):
        names_of("method")


# -- In params and keys -------------------------------------------------------------------------------------


def test_settings_of_a_users_method_reach_the_run_and_its_key(lab: Lab) -> None:
    lab("gentle", METHOD)
    soft, hard = (planned(validate(given("mylab", methods={"gentle": {"force": f}})))[0] for f in (0.25, 2.0))

    again = Run.model_validate_json(soft.model_dump_json())

    assert again.settings.method_settings.model_dump() == {"objective": "branch", "force": 0.25}
    assert again.name == soft.name != hard.name


def test_a_statement_of_a_users_file_or_of_what_it_imports_changes_the_key(lab: Lab) -> None:
    lab("gentle", METHOD + "\n    from mylab import tools\n    from . import more\n")
    lab("tools", "FACTOR = 2\n")
    lab("more", "OFFSET = 1\n")
    lab("other", METHOD)

    def key() -> str:
        forget()
        return planned(validate(given("mylab", methods={"gentle": {}})))[0].name

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
        check(Plan.make(validate(given(*modules, **section))))
    return str(caught.value)


IMPORTED = "from greedymm.training.methods.balanced import Settings"
BROKEN = {
    "no function": (METHOD.replace("def build", "def make_it"), "module 'mylab.gentle' has no attribute 'build'"),
    "no settings": (
        METHOD.replace("class Settings", "class Options"),
        "needs a class Settings that extends one of",
    ),
    "no kind": (METHOD.replace("MethodSettings", "Strict"), "needs a class Settings that extends one of"),
    "fails": (METHOD.replace("HALF = 0.5", "HALF = 1 / 0"), "line 8: the plug-in fails on import: ZeroDivisionError"),
    "import": (METHOD.replace("from pydantic", "from nowhere"), "line 3: the plug-in fails on import: ModuleNotFound"),
    "no Python": (
        METHOD + "\n    def broken(:\n",
        "the plug-in fails on import: SyntaxError: invalid syntax (gentle.py, line 18)",
    ),
    "exits": (METHOD.replace("HALF = 0.5", "raise SystemExit(3)\n    HALF = 0.5"), "fails on import: SystemExit"),
    "code fails": (METHOD + "\n    X = torch.no_such_thing\n", "line 18: the plug-in fails on import: AttributeError"),
    "builds nothing": (
        METHOD.replace("return Method(settings)", "return None"),
        "build must return a Method, not None",
    ),
    "imports them": (
        re.sub(r"class Settings.*?gt=0\)", IMPORTED, METHOD, flags=re.DOTALL),
        "needs a class Settings that extends one of",
    ),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_is_not_complete_is_refused_with_its_file(text: str, message: str, lab: Lab) -> None:
    file = lab("gentle", text)

    refusal = refused("mylab.gentle", methods={"gentle": {}})

    assert str(file) in refusal or "mylab.gentle" in refusal
    assert message in refusal


def test_two_plugins_of_one_name_are_refused_with_both_files(lab: Lab) -> None:
    file = lab("balanced", METHOD)

    message = refused("mylab", methods={"balanced": {}})

    assert "two plug-ins are the method 'balanced'" in message
    assert str(file) in message
    assert "training/methods/balanced.py" in message


def test_a_module_without_plugins_and_an_unknown_name_are_refused(lab: Lab) -> None:
    assert refused("nowhere").count("no module 'nowhere'") == 1  # and not once for each plug-in
    lab("tools", "FACTOR = 2\n")
    assert "'mylab' has no plug-ins" in refused("mylab")
    lab("gentle", METHOD)
    assert re.search("unknown method 'gentel'; there are: .*gentle, .*greedy", refused("mylab", methods={"gentel": {}}))


def test_settings_may_be_imported_in_parts_and_where_a_module_is_optional(lab: Lab) -> None:
    optional = "try:\n    from nowhere import HALF\nexcept ImportError:\n    from mylab.tools import HALF\n"
    helper = "try:\n    from nowhere import half\nexcept ImportError:\n    def half():\n        return HALF / 2\n"
    text = textwrap.dedent(METHOD).replace("HALF = 0.5\n", optional + helper)
    lab("gentle", text.replace("default=HALF", "default=half()"))
    lab("tools", "HALF = 0.5\n")

    assert settings_class("method", "gentle", ("mylab",))().model_dump()["force"] == 0.25


def test_annotations_of_settings_may_be_postponed(lab: Lab) -> None:
    text = METHOD.replace("force: float", "force: Force").replace("HALF = 0.5", "HALF = 0.5\n    Force = float")
    lab("gentle", "    from __future__ import annotations\n" + text)

    assert settings_class("method", "gentle", ("mylab",)).model_validate({"force": 2}).model_dump()["force"] == 2.0


DATASET = """
    from greedymm.settings import DatasetSettings

    MODALITIES = {}

    class Settings(DatasetSettings):
        pass

    def make(settings, raw, workers):
        return {{}}, {{}}
"""


def test_names_of_modalities_that_cannot_be_in_tables_are_refused(lab: Lab) -> None:
    content = given("mylab")
    content["datasets"]["sights"] = content["datasets"].pop("colored_mnist_5k")
    for modalities, message in (
        (("mean", "x"), "sights: modalities cannot be named ['mean']"),
        (("a b", "x"), "sights: modalities cannot be named ['a b']; use letters, digits, underscores"),
        (("x", "x_2", "x"), "['x', 'x_2', 'x_2'] has an entry twice"),
    ):
        lab("sights", DATASET.format(modalities))
        with pytest.raises(GreedymmError, match=re.escape(message)):
            validate(content)


def test_what_is_not_installed_is_followed_also_without_an_init_file(lab: Lab) -> None:
    lab("gentle", METHOD + "\n    import helpers.factors\n")
    lab("factors", "FACTOR = 2\n", folder="helpers")
    lab("__init__", "OFFSET = 1\n", folder="mylab/both")
    lab("both", "OFFSET = 2\n")

    code = fingerprint.reached(frozenset({"mylab.gentle", "mylab.both"}))

    assert {"mylab", "mylab.gentle", "mylab.both", "helpers.factors"} <= code.keys()
    assert "OFFSET" in code["mylab.both"]
    assert "value=1)" in code["mylab.both"]  # of the package, which Python prefers to the module


CONCAT = {"branch": {"name": "cnn", "widths": [4, 4]}, "fusion": "concat", "head": "joint"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"methods": {"balanced": {}}},
            "method 'balanced': the network has no parameters fusion.side_0, fusion.side_1; it has",
        ),
        (
            {"methods": {"random": {"objective": "joint"}}},
            "method 'random' needs passes with mode, which the fusion cannot make; it can: alone, detach, hears",
        ),
        ({"methods": {"greedy": {}}}, "method 'greedy': with a joint head, objective branch trains the branches'"),
    ],
    ids=["a missing group", "an impossible pass", "an untrained joint head"],
)
def test_methods_that_do_not_fit_the_network_are_refused(section: dict[str, Any], message: str) -> None:
    assert message in refused(model=CONCAT, measures=["shapley"], **section)


def test_a_measure_whose_pass_the_fusion_cannot_make_is_refused_by_name(lab: Lab) -> None:
    needs = "from greedymm.models.network import Pass\n            return {'mean': Pass(mode=1)}"
    lab("gates", OF_KIND["measure"].replace("return {}", needs))

    message = refused("mylab", model=CONCAT, measures=["gates"], methods={"greedy": {"objective": "joint"}})

    assert (
        "measure 'gates' needs passes with mode, which the fusion cannot make; it can: alone, detach, hears" in message
    )
    check(Plan.make(validate(given("mylab", measures=["gates"]))))


def test_parts_that_fit_pass(lab: Lab) -> None:
    lab("gentle", METHOD)

    fused = given("mylab", methods={"gentle": {}, "balanced": {}, "mla": {}}, measures=["utilization", "shapley"])
    late = given(model=CONCAT, methods={"ogm_ge": {"objective": "joint"}, "agm": {}}, measures=["shapley"])
    for content in (fused, late):
        check(Plan.make(validate(content)))
