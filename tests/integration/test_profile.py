"""What tests/bench/profile.sh makes of perf's samples."""
import sys
import xml.etree.ElementTree as ET

from processes import TOP

sys.path.insert(0, str(TOP / "tests" / "bench"))
import flame  # noqa: E402
import profile_run  # noqa: E402

SAMPLES = """\
rationd  10/11
\t           1a2b decide
\tffffffffffffffff [unknown]

rationd  10/12
\tffffffff81e2f2e2 tcp_sendmsg
\t          10ab59 __send
\t           1d42e event_base_loop

redis-server  20/20
\t          162113 [unknown]
\t          158274 [unknown]
\t           6e6fa call

redis-benchmark  30/30
\t          162113 a<b> & "c"

a name with blanks  40/40
\t           1a2b decide

redis-server  20/20

redis-server  21/21
\t           1a2b decide
"""
SERVERS = {10: "rationd", 20: "redis-server"}


def test_samples_are_read_from_the_outermost_frame():
    assert profile_run.read_samples(SAMPLES.splitlines(), SERVERS) == [
        ("rationd", [("decide", False)]),
        ("rationd", [("event_base_loop", False), ("__send", False), ("tcp_sendmsg", True)]),
        ("redis-server", [("call", False), ("(no name)", False)]),
        ("load", [('a<b> & "c"', False)]),
        (None, [("decide", False)]),
        ("redis-server", []),
        (None, [("decide", False)]),
    ]


def test_the_table_has_shares_of_all_processors():
    rows = profile_run.table(profile_run.read_samples(SAMPLES.splitlines(), SERVERS), 20).splitlines()
    assert rows[1].split()[:3] == ["redis-server", "10.0%", "0.0%"]
    assert rows[2].split()[:3] == ["rationd", "10.0%", "50.0%"]
    assert rows[3].split()[:3] == ["load", "5.0%", "0.0%"]
    assert rows[4].split() == ["idle,", "others", "75.0%"]


def test_boxes_are_as_wide_as_their_share():
    samples = profile_run.read_samples(SAMPLES.splitlines(), SERVERS)
    tree = ET.fromstring(flame.picture(samples, 20, profile_run.PROCESSES, "a & b"))
    boxes = {}
    for group in tree.iter("{http://www.w3.org/2000/svg}g"):
        name, share = group[0].text.rsplit(": ", 1)
        boxes[name] = (float(group[1].get("width")), share)
    whole = flame.WIDTH - 2 * flame.LEFT
    assert boxes["rationd"] == (round(whole * 2 / 20 - 0.4, 1), "10.0 % of all processors")
    assert boxes["__send"] == (round(whole / 20 - 0.4, 1), "5.0 % of all processors")
    assert 'a<b> & "c"' in boxes and "a name with blanks" not in boxes
