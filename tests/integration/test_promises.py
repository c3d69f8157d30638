"""The list of promises in tests/README.md names tests that exist."""
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_that_the_list_of_promises_names_exists():
    rows = [line for line in (TESTS / "README.md").read_text().splitlines() if line.startswith("| **")]
    assert len(rows) == 12
    for row in rows:
        named = re.findall(r"`((?:integration|unit)/[\w/]+\.(?:py|c))(?:::(\w+))?`", row)
        assert named, row
        for file, function in named:
            assert (TESTS / file).is_file(), file
            assert not function or f"def {function}(" in (TESTS / file).read_text(), (file, function)
