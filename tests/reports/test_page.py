import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.build import Order, build, build_study, gather
from reports.document import LONG
from reports.page import READABLE, page

EVIL = "<script>alert('x')</script>"
DIFF = (
    "diff --git a/zoo/kernel.py b/zoo/kernel.py\n-k = 1\n+k = '</pre><script>alert(1)</script>'\n"
)
PROVENANCE = {
    "git_commit": "0123abcd",
    "git_dirty": True,
    "git_diff": {"sha256": "feed", "bytes": 99, "text": DIFF},
    "threads": 2,
    "versions": {"torch": "2.13.0", "polars": "1.30"},
    "hardware": {"processor": "A processor", "cores": 4},
    "stores": {"mlflow": "http://host:5000", "optuna": "postgresql://***@host/db"},
}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.open, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in ("meta", "path", "use", "rect", "circle", "br", "input"):
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if tag not in ("path", "use", "rect", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data


def read_page(text):
    found = Page()
    found.feed(text)
    assert found.open == []
    return found


def assert_harmless(text):
    """One script, which is ours and the only one that the policy names; no address."""
    found = read_page(text)
    assert not set(found.tags) & {"iframe", "object", "embed", "link", "img", "form", "b"}
    assert found.tags.count("script") == 2
    data, ours = found.scripts
    assert isinstance(json.loads(data), dict)
    assert ours == (Path(page.__code__.co_filename).parent / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(ours.encode()).digest()).decode()
    [policy] = [v for n, v in found.attributes if n == "content" and "default-src" in v]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"
    others = {"style-src", "img-src", "base-uri", "form-action"}
    assert set(rules) == {"default-src", "script-src"} | others
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    addresses = [v for n, v in found.attributes if n in ("href", "src", "xlink:href", "action")]
    addresses = [value for value in addresses if not value.startswith("data:image/png;base64,")]
    assert all(value.startswith("#") for value in addresses)
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in addresses} <= set(ids)  # the table of contents leads somewhere


@pytest.fixture(scope="module")
def text(built):
    return (built.study.directory / "report.html").read_text(encoding="utf-8")


def test_the_page_is_self_contained(built, text):
    assert_harmless(text)
    assert text.count("<svg") == len(built.pictures)
    assert "prefers-color-scheme: dark" in text
    assert "url(http" not in text
    assert "@import" not in text
    for part in ("Findings", "Results", "Figures", "Runs", "Methods", "Configurations"):
        assert f"<h2>{part}</h2>" in text
        assert f">{part}</a>" in text
    assert text.count("<details>") == 1 + len(built.analysis.arms)  # the plan, and every arm's


def test_the_script_gets_what_is_behind_every_table(built, text):
    data = json.loads(read_page(text).scripts[0])
    tables = built.study.directory / "tables"
    assert set(data["tables"]) == {table.name for table in built.tables}
    for name, texts in data["tables"].items():
        assert texts["csv"] == (tables / f"{name}.csv").read_text()
        assert texts["latex"] == (tables / f"{name}.tex").read_text()
    assert data["runs"] == {}  # the rows are in the page


def test_what_tuning_chose_stands_beside_the_configuration(text):
    assert "<summary>decay=off, trained with train.lr=0.01 (trial 3)</summary>" in text


def test_provenance_says_everything_that_was_recorded(make_study):
    study = make_study({"baseline": [0.5, 0.6], "b": [0.6, 0.8]})
    (study.directory / "provenance.json").write_text(json.dumps(PROVENANCE))
    build_study(study.directory, ("html", "markdown"))
    for name in ("report.html", "report.md"):
        text = (study.directory / name).read_text()
        for said in ("0123abcd", "sha256 feed", "torch 2.13.0", "A processor", "cores 4"):
            assert said in text
        for said in ("http://host:5000", "***@host/db", "0, 1", "16 s in 4 runs"):
            assert said.replace("://", "\\://" if name.endswith("md") else "://") in text.replace(
                "\\*", "*"
            )
    assert "+k = &#x27;&lt;/pre&gt;" in (study.directory / "report.html").read_text()


def test_no_name_can_run_a_script(hostile_study):
    record = {EVIL: {EVIL: EVIL}, "git_diff": PROVENANCE["git_diff"]}
    (hostile_study.directory / "provenance.json").write_text(json.dumps(record))
    report = build_study(hostile_study.directory)
    assert_harmless((hostile_study.directory / "report.html").read_text())
    for path in report.files:
        if path.suffix in (".md", ".svg"):
            text = path.read_text(encoding="utf-8")
            code = rf"    run '{re.escape(EVIL)}'\n"  # a code block of Markdown is shown as it is
            assert "<script" not in re.sub(code, "", text, count=path.suffix == ".md"), path.name


@pytest.fixture(scope="module")
def many(tmp_path_factory, synthetic):
    """The page of a study of more runs than it shows without its script."""
    names = ["baseline", "decay=off"]
    values = {name: [0.001 * seed for seed in range(260)] for name in names}
    out = tmp_path_factory.mktemp("many") / "out"
    directory = synthetic(values, status={("decay=off", 17): "diverged"}).write(out)
    build_study(directory, ("html",))
    return directory / "report.html"


def test_of_many_runs_the_first_can_be_read_without_the_script(many):
    text = many.read_text()
    found = read_page(text)
    body = text.partition('id="table-runs"')[2].partition("</table>")[0]
    assert body.count("<tr>") == 1 + READABLE
    assert "The first 200 of 520 runs; all of them are in tables/runs.csv." in text
    data = json.loads(found.scripts[0])
    assert len(data["runs"]["runs"]) == 520 > LONG
    assert set(data["tables"]["runs"]) == {"csv"}  # nobody pastes that
    assert_harmless(text)


# ----------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser(program, tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser")
    profile = tmp_path_factory.mktemp("profile")
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


def open_page(browser, path, width=1200, scheme="light"):
    browser.get_log("browser"), browser.get_log("performance")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(path.as_uri())


def requests(browser):
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    sent = [m for m in messages if m["method"] == "Network.requestWillBeSent"]
    asked = {m["params"]["request"]["url"].partition("#")[0] for m in sent}
    own = ("chrome:", "data:")  # the browser's new tab; what is inside a page
    return {url for url in asked if not url.startswith(own)}


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def column(browser, number):
    return [e.text for e in all_of(browser, f"figure.runs tbody tr > :nth-child({number})")]


def background(browser):
    script = "return getComputedStyle(document.body).backgroundColor"
    return browser.execute_script(script)


def overflow(browser):
    return browser.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def test_the_runs_are_searched_and_sorted(browser, built):
    path = built.study.directory / "report.html"
    open_page(browser, path)
    search = browser.find_element("css selector", "figure.runs input")
    assert search.get_attribute("aria-label") == "Search the runs"
    search.send_keys("length=off DIVERGED")
    assert column(browser, 2) == ["7"]
    status = browser.find_element("css selector", "figure.runs [role=status]")
    assert status.text == "1 of 32 runs"
    search.clear()
    search.send_keys(" ")
    heads = all_of(browser, "figure.runs thead th")
    value = heads[2].find_element("tag name", "button")
    value.click()
    numbers = [float(each) for each in column(browser, 3)]
    assert numbers == sorted(numbers)
    assert heads[2].get_attribute("aria-sort") == "ascending"
    value.send_keys("\n")  # by key as by mouse
    numbers = [float(each) for each in column(browser, 3)]
    assert numbers == sorted(numbers, reverse=True)
    assert heads[2].get_attribute("aria-sort") == "descending"
    heads[3].find_element("tag name", "button").click()
    assert column(browser, 4)[0] == "diverged"
    assert heads[2].get_attribute("aria-sort") is None
    assert requests(browser) == {path.as_uri()}
    assert browser.get_log("browser") == []


def test_many_runs_are_shown_page_by_page_and_searched_as_a_whole(browser, many):
    open_page(browser, many)
    status = browser.find_element("css selector", "figure.runs [role=status]")
    assert status.text == "1 to 100 of 520 runs"
    assert "The first 200" not in browser.find_element("css selector", "figure.runs").text
    back, on = (b for b in all_of(browser, "figure.runs .tools button")
                if b.text in ("Previous", "Next"))  # fmt: skip
    assert not back.is_enabled()
    on.click()
    assert status.text == "101 to 200 of 520 runs"
    assert column(browser, 2)[0] == "100"
    all_of(browser, "figure.runs thead button")[1].click()  # by seed: 2 arms each
    assert column(browser, 2)[:4] == ["0", "0", "1", "1"]
    browser.find_element("css selector", "figure.runs input").send_keys("diverged")
    assert column(browser, 2) == ["17"]
    assert status.text == "1 of 520 runs"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_until_they_are_chosen(browser, built, scheme):
    open_page(browser, built.study.directory / "report.html", scheme=scheme)
    white, dark = "rgb(255, 255, 255)", "rgb(22, 23, 26)"
    assert background(browser) == (white if scheme == "light" else dark)
    toggle = browser.find_element("css selector", "button.theme")
    assert toggle.text == ("Dark" if scheme == "light" else "Light")
    toggle.click()
    assert background(browser) == (dark if scheme == "light" else white)
    assert toggle.text == scheme.capitalize()
    ink = browser.execute_script("return getComputedStyle(document.querySelector('svg')).color")
    assert ink == ("rgb(232, 232, 234)" if scheme == "light" else "rgb(27, 27, 28)")


@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_is_wider_than_the_window(browser, built, hostile_study, width):
    build_study(hostile_study.directory, ("html",))
    for directory in (built.study.directory, hostile_study.directory):
        open_page(browser, directory / "report.html", width)
        assert overflow(browser) <= 0
        for fold in all_of(browser, "details > summary"):
            browser.execute_script("arguments[0].click()", fold)
        assert all(each.get_attribute("open") for each in all_of(browser, "details"))
        assert overflow(browser) <= 0
        assert browser.get_log("browser") == []


def test_tables_are_copied_and_saved(browser, built, tmp_path):
    open_page(browser, built.study.directory / "report.html")
    words = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", words)
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    tools = {b.text: b for b in all_of(browser, "#table-outcome .tools button")}
    assert list(tools) == ["Copy LaTeX", "Copy CSV", "Save CSV"]
    tools["Copy LaTeX"].click()
    wait_until(lambda: tools["Copy LaTeX"].text == "Copied")
    script = "navigator.clipboard.readText().then(arguments[0])"
    copied = browser.execute_async_script(script)
    assert copied == (built.study.directory / "tables" / "outcome.tex").read_text()
    tools["Save CSV"].click()
    saved = tmp_path / "outcome.csv"
    wait_until(saved.exists)
    assert saved.read_bytes() == (built.study.directory / "tables" / "outcome.csv").read_bytes()


def test_names_of_a_hostile_study_are_shown_and_run_nothing(browser, hostile_study):
    build_study(hostile_study.directory, ("html",))
    open_page(browser, hostile_study.directory / "report.html")
    assert browser.find_element("tag name", "h1").text == EVIL
    assert EVIL in column(browser, 1)
    assert len(all_of(browser, "script")) == 2
    assert browser.get_log("browser") == []


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_a_page_of_two_studies_side_by_side_has_every_id_once(rich_writer, tmp_path, synthetic):
    first = rich_writer(tmp_path / "out")
    other = synthetic({"baseline": [0.4, 0.5, 0.6], "decay=off": [0.5, 0.7, 0.8]}).write(
        tmp_path / "other"
    )
    order = Order((str(first),), compare=str(other), formats=("html",))
    text = page(gather(order))
    assert_harmless(text)
    assert '<h2 class="chapter" id="section-first-chapter">' in text


def test_a_page_of_several_tasks_is_as_harmless(browser, synthetic, tmp_path):
    directories = []
    for kind in ("mqar", EVIL):
        arms = {"baseline": [0.4, 0.5, 0.6], EVIL: [0.5, 0.7, 0.8]}
        entry = {"experiment": {"task": {"kind": kind}, "model": {}, "train": {"steps": 5}}}
        study = synthetic(arms, plan={"task": kind}, entries=dict.fromkeys(arms, entry))
        directories.append(str(study.write(tmp_path / f"out{len(directories)}")))
    [path, _] = build(Order(tuple(directories), formats=("html",)))
    assert_harmless(path.read_text())
    open_page(browser, path, 400)
    assert len(all_of(browser, "figure.runs input")) == 2
    assert overflow(browser) <= 0
    assert requests(browser) == {path.as_uri()}
    assert browser.get_log("browser") == []
