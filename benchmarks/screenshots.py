"""Pictures of the report and of MLflow, as in the README: python benchmarks/screenshots.py REPORT_HTML UI_URL FOLDER.

UI_URL is that of a running `make ui`, such as http://127.0.0.1:5000. Writes report.png and mlflow.png.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

EXPERIMENT = "colored_mnist_5k"
RUNS = "tags.part = 'default' and tags.seed = '0'"  # one of each method
CHARTS = "^(epochs/.*|test_accuracy)$"  # those that are shown


def open_charts(page: Page, url: str) -> None:
    """Open the runs of an experiment, with charts, and nothing beside them."""
    page.goto(f"{url.rstrip('/')}/#/experiments")
    page.get_by_role("button", name="Model training").click()
    page.get_by_role("link", name=EXPERIMENT, exact=True).click()
    expect(page.get_by_role("grid")).to_be_visible()
    page.goto(f"{page.url.partition('?')[0]}?compareRunsMode=CHART")
    page.get_by_role("button", name="Close").click()  # the assistant
    page.get_by_placeholder("metrics.rmse").fill(RUNS)
    page.keyboard.press("Enter")
    page.get_by_placeholder("Search metric charts").fill(CHARTS)
    expect(page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    page.wait_for_timeout(3000)  # until all are drawn


def main(report: Path, url: str, folder: Path) -> None:
    """Open both in the system's browser, and take the pictures."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(report.resolve().as_uri())
        page.screenshot(path=folder / "report.png")
        open_charts(page, url)
        page.screenshot(path=folder / "mlflow.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
