"""`ccdr report` as people use it: the command, and its page in a real browser (headless Chromium)."""

from __future__ import annotations

import csv
import html as escapes
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.support.browser import Browser, browsing
from tests.support.browser import chromium as the_program
from tests.support.harness import Site, eventually
from tests.support.sites import copy_of
from tests.support.years import Centre, write_ledger, write_plans

pytestmark = pytest.mark.long

WIDTHS = (390, 820, 1280)


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Three plans of four assets, four months: failures, misses, crashes, damage, tests of every kind."""
    site = Site(tmp_path_factory.mktemp("centre"))
    made = Centre(3, 4, datetime.now(UTC).replace(microsecond=0), 120, timedelta(hours=6), timedelta(days=3))
    write_plans(made, site.root)
    write_ledger(made, site.state / "ledger")
    return site


def report(site: Site, *args: str) -> subprocess.CompletedProcess[str]:
    return site.plainly("report", *args)


@pytest.fixture(scope="module")
def page(centre: Site) -> Path:
    file = centre.root / "report.html"
    done = report(centre, "--out", str(file))
    assert done.returncode == 1 and "Only an older state of" in done.stderr, done  # one asset's tests fail
    return file


# --- in the browser --------------------------------------------------------------------------------------------


def chromium(*args: str) -> subprocess.CompletedProcess[str]:
    flags = [
        "--headless",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--v=0",
    ]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    return subprocess.run([the_program(), *flags, *args], capture_output=True, text=True, timeout=120, check=False)


MEASURE = """
<script>
function light(c) {
  const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
}
function behind(e) {
  for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$/.test(c)) return c; }
  return 'rgb(255, 255, 255)';
}
addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => d.open = true);
  const pale = {};
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest('svg, title, style, script, .cell.none') || e.matches('.mark *')) continue;
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) pale[e.tagName + '.' + e.className] = ratio.toFixed(2);
  }
  const d = document.documentElement, small = [...document.querySelectorAll('svg[role=img] text')]
    .map(t => t.getBoundingClientRect()).filter(r => r.width && r.height < 7).length;
  const out = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, figure, pre, .vh, .skip') &&
    e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '.' + e.className).slice(0, 5);
  const found = {width: d.scrollWidth, window: innerWidth, paper: getComputedStyle(document.body).backgroundColor, pale, small, out,
    cut: [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth && e.tabIndex < 0).length};
  const pre = document.createElement('pre'); pre.id = 'measured'; pre.textContent = JSON.stringify(found); parent.document.body.append(pre);
});
</script></body>"""


def measured(page: Path, width: int, *, dark: bool = False) -> dict[str, Any]:
    """What the browser finds in a copy of the page that may run a script of ours. In a frame, since no window of a
    browser is as narrow as a telephone's."""
    copy = page.with_name("measured.html")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    framed = escapes.escape(text.replace("</body>", MEASURE))
    frame = f'<iframe width="{width}" height="900" style="border:0" srcdoc="{framed}"></iframe>'
    copy.write_text(
        f'<!doctype html><html style="color-scheme:light dark"><meta charset="utf-8"><body>{frame}', "utf-8"
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    done = chromium(scheme, "--window-size=1400,1000", "--virtual-time-budget=3000", "--dump-dom", f"file://{copy}")
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return dict(json.loads(escapes.unescape(found[1])))


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_any_window_and_is_legible_in_light_and_dark(page: Path, width: int) -> None:
    papers = set()
    for dark in (False, True):
        found = measured(page, width, dark=dark)
        assert found["width"] <= found["window"] and found["out"] == [], found
        assert found["pale"] == {}, f"{'dark' if dark else 'light'}: contrast below 4.5"
        assert found["small"] == 0 and found["cut"] == 0, found
        papers.add(found["paper"])
    assert len(papers) == 2, "light and dark differ"


def test_browser_has_nothing_to_complain_of_and_asks_for_nothing(page: Path) -> None:
    done = chromium("--virtual-time-budget=2000", "--dump-dom", f"file://{page}")
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "Can the contact centre be brought back?" in done.stdout
    text = page.read_text("utf-8")
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import|https?://|<script", text)


def test_page_is_drawn_and_printed(page: Path, tmp_path: Path) -> None:
    picture, paper = tmp_path / "page.png", tmp_path / "page.pdf"
    chromium("--window-size=1280,2000", f"--screenshot={picture}", f"file://{page}")
    chromium("--no-pdf-header-footer", f"--print-to-pdf={paper}", f"file://{page}")
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 50_000
    assert paper.read_bytes().startswith(b"%PDF") and paper.read_bytes().count(b"/Type /Page\n") > 3


class Outline(HTMLParser):
    """What a screen reader goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.charts: list[dict[str, str | None]] = []
        self.tables: list[list[str]] = []
        self.bare_heads = 0
        self.svg: list[set[str]] = []
        self.lang = ""
        self._in_svg = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if "id" in given:
            self.ids.append(str(given["id"]))
        for key in ("aria-labelledby", "href"):
            self.refers += [r.removeprefix("#") for r in str(given.get(key) or "").split()]
        if tag == "html":
            self.lang = str(given.get("lang"))
        if tag == "svg":
            self.svg.append(set())
            self._in_svg = True
            if given.get("role") == "img":
                self.charts.append(given)
        elif self._in_svg and tag in ("title", "desc"):
            self.svg[-1].add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "caption":
            self.tables[-1].append("caption")
        self.bare_heads += tag == "th" and given.get("scope") not in ("col", "row", "rowgroup")

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._in_svg = False


def test_a_screen_reader_finds_its_way(page: Path) -> None:
    seen = Outline()
    seen.feed(page.read_text("utf-8"))
    assert seen.lang == "en" and seen.headings[0] == 1 and seen.headings.count(1) == 1
    assert all(later <= former + 1 for former, later in zip(seen.headings, seen.headings[1:], strict=False)), (
        seen.headings
    )
    assert len(seen.ids) == len(set(seen.ids)) and set(seen.refers) <= set(seen.ids), set(seen.refers) - set(seen.ids)
    assert all("title" in svg for svg in seen.svg) and len(seen.charts) >= 20
    assert all(chart["aria-labelledby"] for chart in seen.charts)
    assert all(table == ["caption"] for table in seen.tables) and seen.bare_heads == 0


# --- the keyboard ----------------------------------------------------------------------------------------------

STOPS = (
    "[...document.querySelectorAll('a[href], summary, [tabindex]')].filter(e => e.tabIndex >= 0 && e.checkVisibility())"
)
# Where the focus is among them, and how it can be seen there.
HERE = f"""(() => {{
  const e = document.activeElement, look = getComputedStyle(e), box = e.getBoundingClientRect();
  return {{
    at: {STOPS}.indexOf(e), tag: e.tagName,
    ring: look.outlineStyle === 'solid' && parseFloat(look.outlineWidth) >= 2 && look.outlineColor !== 'rgba(0, 0, 0, 0)',
    inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  }};
}})()"""


@pytest.fixture
def keyed(page: Path, tmp_path: Path) -> Iterator[Browser]:
    with browsing(page, tmp_path / "profile") as opened:
        yield opened


def test_tab_reaches_everything_in_its_order_and_can_be_seen_there(keyed: Browser) -> None:
    stops = keyed.ask(f"{STOPS}.map(e => e.tagName)")
    assert stops.count("SUMMARY") == keyed.ask("document.querySelectorAll('summary').length") > 100
    assert stops.count("A") >= 10 and stops.count("DIV") >= 6
    for number, tag in enumerate(stops):
        keyed.press("Tab")
        assert keyed.ask(HERE) == {"at": number, "tag": tag, "ring": True, "inside": True}
    keyed.press("Tab", shift=True)
    assert keyed.ask(HERE)["at"] == len(stops) - 2, "and back again"


def test_the_skip_link_is_first_shows_itself_and_leads_to_the_answer(keyed: Browser) -> None:
    box = "(() => { const b = document.querySelector('.skip').getBoundingClientRect(); return b.right > 0 && b.bottom > 0 })()"
    assert keyed.ask(box) is False
    keyed.press("Tab")
    assert keyed.ask("document.activeElement.className") == "skip" and keyed.ask(box) is True
    keyed.press("Enter")
    assert keyed.ask("location.hash") == "#main" and keyed.ask("document.querySelector(':target').tagName") == "MAIN"
    keyed.press("Tab")
    assert keyed.ask("document.activeElement.closest('main') !== null") and keyed.ask(box) is False


def test_links_of_the_contents_lead_to_their_sections(keyed: Browser) -> None:
    for number in range(keyed.ask("document.querySelectorAll('nav.toc a').length")):
        keyed.ask(f"document.querySelectorAll('nav.toc a')[{number}].focus()")
        keyed.press("Enter")
        section = "document.querySelector(':target')"
        assert keyed.ask(f"document.querySelectorAll('nav.toc a')[{number}].hash") == "#" + keyed.ask(f"{section}.id")
        keyed.press("Tab")
        behind = f"(e => {section}.contains(e) || ({section}.compareDocumentPosition(e) & 4) > 0)"
        if keyed.ask(f"{STOPS}.some({behind})"):  # the last section has none, and Tab leaves the page
            assert keyed.ask(f"{behind}(document.activeElement)"), "what has the focus next is there, or behind it"


def test_enter_and_space_open_and_close_each_disclosure(keyed: Browser) -> None:
    for number in range(keyed.ask("document.querySelectorAll('summary').length")):
        one = f"document.querySelectorAll('summary')[{number}]"
        keyed.ask(f"{one}.focus({{preventScroll: true}})")
        was = keyed.ask(f"{one}.parentElement.open")
        for key, opened in (("Enter", not was), (" ", was), (" ", not was), ("Enter", was)):
            keyed.press(key)
            assert keyed.ask(f"[{one}.parentElement.open, document.activeElement === {one}]") == [opened, True], number


def test_what_is_wider_than_the_window_is_scrolled_by_the_arrows(page: Path, tmp_path: Path) -> None:
    with browsing(page, tmp_path / "profile", width=660) as narrow:
        wide = "[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth)"
        count = narrow.ask(f"{wide}.length")
        assert count > 3
        for number in range(count):
            narrow.ask(f"{wide}[{number}].focus()")
            for _ in range(3):
                narrow.press("ArrowRight")
            moved = f"new Promise(done => setTimeout(() => done({wide}[{number}].scrollLeft), 300))"
            assert narrow.ask(moved) > 0, number


def test_on_a_telephone_each_row_of_a_wide_table_is_a_card(page: Path, tmp_path: Path) -> None:
    """Nothing but the calendar is read sideways, and each value stands beside its column's heading."""
    cells = "[...document.querySelectorAll('table.cards tbody td')]"
    bare = f"{cells}.filter(e => !['', 'none'].includes(getComputedStyle(e, '::before').content.replaceAll('\"', ''))).length"
    sideways = (
        "[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth)"
    )
    headings = "[...document.querySelectorAll('section > .scroll > table')].map(t => t.className)"
    with browsing(page, tmp_path / "narrow", width=390) as narrow:
        narrow.ask("document.querySelectorAll('section details').forEach(d => d.open = !d.closest('figure'))")
        assert set(narrow.ask(f"{sideways}.map(e => e.firstElementChild.className)")) == {"calendar"}
        assert narrow.ask(bare) == narrow.ask(f"{cells}.length") > 100
        assert set(narrow.ask(headings)) == {"cards", "calendar"}
    with browsing(page, tmp_path / "wide") as wide:
        assert wide.ask(bare) == 0, "a wide window has tables"


def test_paper_holds_the_sandbox_the_disposal_and_the_actor_of_tests_that_passed(page: Path, tmp_path: Path) -> None:
    lists = "[...document.querySelectorAll('details.test:not([open]) dl.facts')]"
    shown = f"{lists}.filter(e => e.checkVisibility({{contentVisibilityAuto: true}}) && e.getBoundingClientRect().height > 20)"
    with browsing(page, tmp_path / "profile") as opened:
        assert opened.ask(f"{shown}.length") == 0, "on a screen what has passed is closed"
    with browsing(page, tmp_path / "printed") as opened:
        opened.call("Emulation.setEmulatedMedia", media="print")
        opened.call("Page.reload")  # what is folded is laid out anew only then
        assert eventually(lambda: 20 < opened.ask(f"{lists}.length") == opened.ask(f"{shown}.length"), 20)
        for fact in ("Sandbox", "Disposal", "Record"):
            assert opened.ask(f"{shown}.some(e => e.innerText.includes('{fact}'))"), fact
        assert opened.ask("getComputedStyle(document.querySelector('table.cards > tbody > tr')).display") == "table-row"


def test_every_heading_over_a_time_names_its_zone(page: Path) -> None:
    """Also in a table that somebody has cut out of the page."""
    text = page.read_text("utf-8")
    for table in re.findall(r"<table.*?</table>", text, re.DOTALL):
        assert "<time " not in table or "UTC" in table.split("<tbody>")[0], table[:300]


def test_each_thing_that_has_the_focus_says_what_it_is(keyed: Browser) -> None:
    """As the browser tells a screen reader: a role, a name of its own, and whether it is open."""
    keyed.ask("document.querySelectorAll('details').forEach(d => d.open = true)")
    spoken = [s for s in keyed.spoken() if s.get("focusable") and s["role"] != "RootWebArea"]
    assert {s["role"] for s in spoken} == {"link", "region", "DisclosureTriangle"}
    assert len(spoken) == keyed.ask(f"{STOPS}.length")
    assert all(s["name"] for s in spoken)
    for role in ("region", "DisclosureTriangle", "link"):
        names = Counter(s["name"] for s in spoken if s["role"] == role)
        assert {name for name, count in names.items() if count > 1} == set(), f"{role}: which of them?"
    triangles = [s for s in spoken if s["role"] == "DisclosureTriangle"]
    assert all(s["expanded"] is True for s in triangles)
    assert not [s["name"] for s in triangles if re.search("[▸▾]", s["name"])], (
        "what a mark shows is told as open or closed"
    )
    keyed.ask("document.querySelectorAll('details').forEach(d => d.open = false)")
    assert {s["expanded"] for s in keyed.spoken() if s["role"] == "DisclosureTriangle"} == {False}


# --- the command -----------------------------------------------------------------------------------------------


def test_three_formats_tell_the_same(centre: Site, page: Path, tmp_path: Path) -> None:
    period = ("--from", "2026-01-01", "--to", datetime.now(UTC).isoformat())
    files = {form: tmp_path / form for form in ("html", "json", "csv")}
    for form, file in files.items():
        assert report(centre, *period, "--format", form, "--out", str(file)).returncode == 1
    document = json.loads(files["json"].read_text("utf-8"))
    with files["csv"].open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) - 1 == len(document["runs"]) == document["population"]["rows"]
    assert document["population"]["csv_sha256"] in files["html"].read_text("utf-8")
    assert document["population"]["csv_sha256"] in rows[-1]["reason"]
    assert document["answer"]["sentence"] in escapes.unescape(files["html"].read_text("utf-8"))
    assert document["made"]["command"].startswith("ccdr ") and document["period"]["timezone"] == "UTC"


def test_standard_output_is_the_report_and_nothing_else(centre: Site) -> None:
    assert report(centre).stdout.startswith("<!doctype html>")
    assert isinstance(json.loads(report(centre, "--json").stdout), dict)
    assert report(centre, "--format", "csv").stdout.startswith("seq,end_seq,what,")
    line = " ".join(centre.argv("report", "--format", "csv")) + " | head -c 1 > /dev/null; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1" and "Traceback" not in done.stderr, "a finding, whoever reads of it"


def test_out_says_in_one_line_what_the_report_says(centre: Site, tmp_path: Path) -> None:
    done = report(centre, "--json", "--format", "html", "--out", str(tmp_path / "r.html"))
    assert json.loads(done.stdout)["answer"]["word"] == "No" and (tmp_path / "r.html").stat().st_size > 10_000


BAD = [
    ["nowhere"], ["--from", "yesterday"], ["--from", "2026-02-02", "--to", "2026-02-01"], ["--format", "pdf"],
    ["--json", "--format", "csv"], ["--out", "/nonexistent/report.html"], ["--out", "/"], ["--out", "/etc/passwd/x"],
]  # fmt: skip


@pytest.mark.parametrize("args", BAD, ids=" ".join)
def test_bad_command_line_is_exit_2(centre: Site, args: list[str]) -> None:
    done = report(centre, *args)
    assert done.returncode == 2 and done.stderr.strip(), done


def test_no_plan_at_all_is_no_good_news(centre: Site, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    done = report(centre, "--plans", str(tmp_path / "plans"), "--json")
    answer = json.loads(done.stdout)["answer"]
    assert (done.returncode, answer["level"], answer["word"]) == (1, "UNPROVEN", "Not proven")
    assert "--plans" in answer["sentence"]


def test_no_plan_and_no_record_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    done = Site(tmp_path).run("report")
    assert done.code == 2 and "there is no plan" in done.json["error"], done


def test_a_wrong_plan_is_exit_2(centre: Site, tmp_path: Path) -> None:
    shutil.copytree(centre.root / "plans", tmp_path / "plans")
    (tmp_path / "plans/outbound.yaml").write_text("plan: [")
    assert report(centre, "--plans", str(tmp_path / "plans")).returncode == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mount]).returncode:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_leaves_the_report_of_before(centre: Site, small_disk: Path) -> None:
    old = small_disk / "report.html"
    old.write_text("the one of before")
    done = report(centre, "--out", str(old))
    assert done.returncode == 3 and "No space left" in done.stderr and "free space" in done.stderr
    assert old.read_text() == "the one of before" and [p.name for p in small_disk.iterdir()] == ["report.html"]


def test_a_link_and_a_device_are_written_through(centre: Site, tmp_path: Path) -> None:
    link = tmp_path / "latest.html"
    link.symlink_to(tmp_path / "2026.html")
    assert report(centre, "--out", str(link)).returncode == 1
    assert link.is_symlink() and (tmp_path / "2026.html").stat().st_size > 10_000
    assert report(centre, "--out", "/dev/null").returncode == 1
    assert Path("/dev/null").is_char_device()


def test_reading_needs_no_right_to_write(centre: Site, tmp_path: Path) -> None:
    site = copy_of(centre, tmp_path / "copy") if (centre.root / "repo").exists() else centre
    before = sorted(str(p) for p in site.state.rglob("*"))
    assert report(site, "--format", "json").returncode == 1
    assert sorted(str(p) for p in site.state.rglob("*")) == before, "a report leaves nothing in the state"
