"""The exchanges of one run, read once and replayed once, in parallel; each test checks one."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))

import cassette  # noqa: E402
import derived  # noqa: E402
import replaying  # noqa: E402

OWN = HERE / "cassettes"
WORKERS = 4


def pytest_addoption(parser):
    parser.addoption("--cassettes", metavar="DIR", help="replay the recordings below DIR instead of our own")
    parser.addoption("--workers", type=int, default=WORKERS, help=f"how many calls to make at a time (default {WORKERS})")
    parser.addoption("--table", metavar="FILE", help="write the differences of recordings without a sidecar to FILE, too, as TSV")


def _recordings(config):
    """Read once per run."""
    if not hasattr(config, "replay_recordings"):
        root = pathlib.Path(config.getoption("--cassettes", None) or OWN).resolve()
        exchanges, unreadable = cassette.read_all(root)
        with_profile = [one for one in exchanges if replaying.plan_of(one) is not None]
        config.replay_recordings = with_profile
        config.replay_left_out = unreadable + [
            f"{one.name}: {one.request.method} {one.request.uri.split('?')[0]} belongs to no API that has a profile"
            for one in exchanges
            if replaying.plan_of(one) is None
        ]
        config.replay_rows = []
    return config.replay_recordings


def pytest_generate_tests(metafunc):
    if "exchange" in metafunc.fixturenames:
        exchanges = _recordings(metafunc.config)
        metafunc.parametrize("exchange", exchanges, ids=[one.name for one in exchanges])


@pytest.fixture(scope="session")
def came_of(request):
    """{name: what came of it} for the exchanges that this run's tests need."""
    wanted = {item.callspec.params["exchange"].name: item.callspec.params["exchange"]
              for item in request.session.items if "exchange" in getattr(getattr(item, "callspec", None), "params", {})}  # fmt: skip
    replayer = replaying.Replayer(len(wanted) + 1, request.config.getoption("--workers", WORKERS))
    try:
        yield replayer.replay_all(wanted.values())
    finally:
        replayer.close()


@pytest.fixture
def came(came_of, exchange):
    return came_of[exchange.name]


@pytest.fixture
def note_differences(request):
    """Records how a recording without a sidecar differs, for the table at the end."""

    def note(came):
        rows = [(came.exchange.name, came.plan["profile"], *row) for row in derived.differences(came)]
        request.config.replay_rows.extend(rows)

    return note


def _cell(value):
    return str(value).replace("\t", " ").replace("\n", "\\n")


def pytest_terminal_summary(terminalreporter, config):
    rows, left_out = getattr(config, "replay_rows", []), getattr(config, "replay_left_out", [])
    if left_out and config.getoption("--cassettes", None):
        terminalreporter.section("left out")
        for line in left_out[:20]:
            terminalreporter.line(line)
        terminalreporter.line(f"{len(left_out)} in all")
    if rows:
        terminalreporter.section("recordings without a sidecar: differences from our own reading of them")
        for name, profile, what, theirs, ours in rows:
            terminalreporter.line(f"{name}  [{profile}]  {what}: recording {_cell(theirs)}, ration {_cell(ours)}")
        terminalreporter.line(f"{len(rows)} differences in {len({row[0] for row in rows})} exchanges")
    if config.getoption("--table", None):
        with open(config.getoption("--table"), "w", encoding="utf-8", errors="backslashreplace") as table:
            table.writelines("\t".join(_cell(cell) for cell in row) + "\n" for row in rows)
