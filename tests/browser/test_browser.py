"""The report and MLflow's UI in a real browser: all is shown, nothing goes wrong unseen, the network is left alone."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, suppress
from pathlib import Path
from urllib.parse import urldefrag

import made_up
import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect
from workflow.project import DATASET, ROOT, Project

from greedymm.params.load import load
from greedymm.plan import Plan
from greedymm.steps.report import make_report

from .conftest import UI
from .watch import Outside, Watch, broken_pictures

pytestmark = pytest.mark.slow
INLINE = ("data:", "blob:")
RUNS = ("greedy-seed0", "balanced-seed0")
# What MLflow's UI says on each start, and nothing can be set against.
HARMLESS = (
    "/ajax-api/2.0/mlflow/users/current",  # it asks for the user; a server without accounts has no such address
    "ResizeObserver loop completed with undelivered notifications",  # some of a page is drawn one frame later
)


# What is looked for is found


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("<script>console.error('broken')</script>", "error: broken"),
        ("<script>console.warn('old')</script>", "warning: old"),
        ("<script>missing()</script>", "missing is not defined"),
        ("<script src='missing.js'></script>", "error: Failed to load resource"),
    ],
    ids=["error", "warning", "exception", "missing file"],
)
def test_what_goes_wrong_in_a_page_is_found(page: Page, tmp_path: Path, content: str, wrong: str) -> None:
    watch = Watch(page)
    _open(page, tmp_path, content)

    assert len(watch.wrong) == 1
    assert wrong in watch.wrong[0]


@pytest.mark.parametrize(
    "content",
    ["<img src='http://127.0.0.1:9/x'>", "<script>fetch('http://127.0.0.1:9/x').catch(() => 0)</script>"],
    ids=["picture", "script"],
)
def test_what_a_page_asks_for_is_found(page: Page, tmp_path: Path, content: str) -> None:
    watch = Watch(page)
    own = _open(page, tmp_path, content)

    assert watch.beyond(own, *INLINE) == ["http://127.0.0.1:9/x"]


def test_a_broken_picture_is_found(page: Page, tmp_path: Path) -> None:
    good = "data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%229%22 height=%229%22/%3E"
    broken = "data:image/png;base64,AAAA"
    _open(page, tmp_path, f"<img src='{good}'><img src='{broken}'>")

    assert broken_pictures(page) == [broken]


def test_what_a_program_asks_of_the_network_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with Outside() as outside:
        for name, value in outside.environment.items():
            monkeypatch.setenv(name, value)
        with suppress(OSError):
            urllib.request.urlopen("https://example.org/x", timeout=5)

        assert outside.asked == ["CONNECT example.org:443"]
        outside.shutdown()


def _open(page: Page, folder: Path, content: str) -> str:
    path = folder / "page.html"
    path.write_text(f"<!doctype html><link rel='icon' href='data:,'>{content}")
    page.goto(path.as_uri())
    return path.as_uri()


# The report


def test_the_report_opens_by_itself_with_all_its_figures(page: Page, report: str) -> None:
    watch = Watch(page)
    page.goto(report)

    expect(page).to_have_title(re.compile("^greedymm: (report|sweeps)$"))
    assert page.locator("figure img").count() > 0
    assert broken_pictures(page) == []
    assert watch.wrong == []
    assert watch.beyond(report, *INLINE) == []


def test_every_link_in_the_report_leads_to_its_place(page: Page, report: str) -> None:
    page.goto(report)
    links = page.locator("a[href^='#']").all()

    assert links
    for link in links:
        page.evaluate("location.hash = ''")
        if link.is_visible():
            link.click()
        else:  # in another tab
            link.evaluate("link => link.click()")
        place = page.locator(f"[id='{urldefrag(page.url).fragment}']")
        expect(place).to_have_count(1)
        expect(place).to_be_in_viewport()


def test_every_table_of_the_report_sorts_by_every_column_both_ways(page: Page, report: str) -> None:
    watch = Watch(page)
    page.goto(report)
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
    page.evaluate("document.querySelectorAll('.panel').forEach((part) => part.hidden = false)")
    tables = page.locator("table.sortable").all()

    assert tables
    for table in tables:
        for column in range(table.locator("thead th").count()):
            _sorts(table, column)
    assert watch.wrong == []


def _sorts(table: Locator, column: int) -> None:
    head, rows = table.locator("thead th").nth(column), sorted(_rows(table))
    for direction, sign in (("ascending", 1), ("descending", -1)):
        head.get_by_role("button").click()
        expect(table.locator("th[aria-sort]")).to_have_count(1)
        expect(head).to_have_attribute("aria-sort", direction)
        cells = [row[column] for row in _rows(table)]
        assert all(sign * order <= 0 for order in _orders(table, cells)), (head.inner_text(), direction, cells)
        assert sorted(_rows(table)) == rows


def _rows(table: Locator) -> list[list[str]]:
    found: list[list[str]] = table.evaluate(
        "t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent.trim()))"
    )
    return found


def _orders(table: Locator, cells: list[str]) -> list[float]:
    """Of each two cells one after the other, whether the first is smaller (below 0), equal or larger."""
    texts: list[float] = table.evaluate("(_, cells) => cells.slice(1).map((c, i) => cells[i].localeCompare(c))", cells)
    numbers = [_number(cell) for cell in cells]
    pairs = zip(numbers[:-1], numbers[1:], texts, strict=True)
    return [text if a is None or b is None else a - b for a, b, text in pairs]


def _number(cell: str) -> float | None:
    """The number that a cell begins with, as in `<0.001`, `3,200` and `46.0 % [37.2, 54.7]`."""
    found = re.match(r"[<>]? ?([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)", cell)
    return float(found[1].replace(",", "")) if found else None


def test_the_report_leads_to_the_page_of_sweeps_with_texts_figures_and_tables(page: Page, tracked: Project) -> None:
    page.goto((tracked.folder / "results/report/index.html").as_uri())
    page.get_by_role("link", name="Sweeps").click()
    page.locator("a[href='sweeps/index.html']").click()

    title = page.locator("#sweep-rate")
    expect(title).to_be_visible()
    expect(title.locator("xpath=following-sibling::p[1]")).to_contain_text("Mean test accuracy")
    expect(title.locator("xpath=following-sibling::figure[1]//img")).to_be_visible()
    rows = title.locator("xpath=following-sibling::div[1]//tbody/tr")
    expect(rows).to_have_count(2)


def test_without_scripts_the_report_shows_the_same(browser: Browser, report: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        watch = Watch(page)
        page.goto(report)

        for part in (*page.locator("figure img").all(), *page.locator("h2").all()):
            expect(part).to_be_visible()
        expect(page.locator("table.sortable").first.locator("tbody tr").first).to_be_visible()
        assert broken_pictures(page) == []
        assert watch.wrong == []


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_is_no_wider_than_the_window(page: Page, report: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    page.goto(report)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


# MLflow's UI


@pytest.fixture
def quiet(page: Page, ui: UI) -> Iterator[Page]:
    """A page of the UI, in which at the end nothing has gone wrong and nothing has been asked of the network."""
    watch = Watch(page, console=("error",), harmless=HARMLESS)
    yield page
    assert watch.wrong == []
    assert watch.beyond(ui.url, *INLINE) == []
    assert ui.outside.asked == []


def test_the_ui_shows_experiments_their_runs_and_the_curves_of_a_run(quiet: Page, ui: UI) -> None:
    runs = _runs(quiet, ui, DATASET)
    for name in RUNS:
        expect(_link(runs, name).first).to_be_visible()

    _link(runs, RUNS[0]).first.click()
    expect(quiet.get_by_role("heading", name=RUNS[0])).to_be_visible()
    expect(quiet.get_by_text("test_accuracy", exact=True)).to_be_visible()
    quiet.get_by_role("tab", name="Model metrics").click()
    expect(quiet.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()


def test_the_ui_shows_the_runs_of_a_sweep(quiet: Page, ui: UI) -> None:
    runs = _runs(quiet, ui, DATASET)
    expect(_link(runs, RUNS[0])).to_have_count(1)
    expect(_link(runs, f"rate 0.2, {RUNS[0]}")).to_have_count(1)

    quiet.get_by_placeholder("metrics.rmse").fill("tags.`sweep.rate` = '0.2'")
    quiet.keyboard.press("Enter")
    expect(_link(runs, f"rate 0.2, {RUNS[0]}")).to_have_count(1)
    expect(_link(runs, RUNS[0])).to_have_count(0)
    expect(_link(runs, RUNS[1])).to_have_count(0)


def test_the_ui_shows_the_report_and_its_tables_sort_there(quiet: Page, ui: UI) -> None:
    _link(_runs(quiet, ui, "report"), "report").click()
    expect(quiet.get_by_role("tab", name="Artifacts", exact=True)).to_be_visible()
    quiet.goto(f"{quiet.url.partition('?')[0]}/artifacts/index.html")

    shown = quiet.frame_locator("iframe")
    expect(shown.locator("figure img").first).to_be_visible()
    shown.get_by_role("tab", name=DATASET).click()
    shown.locator("table.sortable button:visible").first.click()
    expect(shown.locator("th[aria-sort=ascending]")).to_have_count(1)


def _runs(page: Page, ui: UI, experiment: str) -> Locator:
    """The table of an experiment's runs, reached from the list of experiments."""
    page.goto(f"{ui.url}#/experiments")
    page.get_by_role("button", name="Model training").click()
    _link(page, experiment).click()
    return page.get_by_role("grid")


def _link(place: Page | Locator, name: str) -> Locator:
    return place.get_by_role("link", name=name, exact=True)


# A study of the size of the default


SCREEN: ViewportSize = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of the report of a made-up study with the project's params."""
    folder = tmp_path_factory.mktemp("large")
    with chdir(folder):
        plan = Plan.make(load(ROOT / "params.yaml"))
        made_up.leave_study(plan)
        make_report(plan)
    return (folder / plan.folder / "index.html").as_uri()


def test_the_first_screen_shows_the_summary_and_no_tab_is_higher_than_six_screens(page: Page, large: str) -> None:
    page.set_viewport_size(SCREEN)
    page.goto(large)
    for part in page.locator("#summary > *").all():
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= SCREEN["height"]

    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollHeight") <= 6 * SCREEN["height"]


def test_tabs_are_reached_by_the_keyboard_and_figures_open_on_click(page: Page, large: str) -> None:
    page.goto(large)
    page.get_by_role("tab", name="Summary").focus()
    page.keyboard.press("ArrowRight")
    tab = page.get_by_role("tab", name="colored_mnist_5k")
    expect(tab).to_be_focused()
    expect(tab).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Reproduce")).to_be_focused()

    tab.click()
    page.locator(".figures button:visible").first.click()
    expect(page.locator("dialog img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_no_tab_is_wider_than_a_phone(page: Page, large: str) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto(large)
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
