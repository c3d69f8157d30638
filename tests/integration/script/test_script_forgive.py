"""Forgiving debt, by example: of every algorithm, once, and nothing more than the debt."""

import packing
import pytest
from packing import (ACQUIRE, BUCKET, CANCEL, DENIED, FORGIVE, FORGIVEN, GRANTED, OUTPUT, REPORT, REQUESTS, ROLLING, SETTLED, Limit,
                     Op)
from test_script_cases import EVERY_KIND, MIDNIGHT, Bench, daily, tokens


class Debtor(Bench):
    def forgive(self, *buckets, resent=False, nonce=None):
        self.nonce += 1
        self.asked = Op(FORGIVE, list(buckets or ["t"]), resent=resent, slice="{b}f", nonce=nonce or self.nonce.to_bytes(8, "big"))
        return self.forgiven(self.one(self.asked))

    def forgiven(self, answer):
        assert (answer.outcome, [row[1] for row in answer.rows]) == (FORGIVEN, [0] * answer.granted), answer
        return [row[0] for row in answer.rows]

    def spend(self, amount, estimate=0):
        o, a = self.acquire(tokens=estimate)
        assert a.outcome == GRANTED, a
        assert self.report(o, tokens=amount) == SETTLED

    def fits(self, amount):
        return self.acquire(tokens=amount, dry=True)[1].outcome == GRANTED


@pytest.fixture
def bench(clean_store):
    return Debtor(clean_store)


@pytest.mark.parametrize("limit", EVERY_KIND)
def test_debt_is_brought_up_to_zero_and_not_higher(bench, limit):
    bench.limits([limit])
    bench.spend(10**12)
    assert bench.forgive() == [10**12 - 1000]
    assert bench.remaining() == [0] and not bench.fits(1)
    digest = bench.digest()
    assert bench.forgive() == [0] and bench.digest() == digest  # without debt nothing is written
    bench.at += bench.acquire(tokens=1)[1].wait
    assert bench.fits(1) and bench.at < MIDNIGHT + 1


@pytest.mark.parametrize("limit", EVERY_KIND)
def test_who_has_no_debt_is_given_nothing(bench, limit):
    bench.limits([limit])
    assert bench.forgive() == [0]
    bench.spend(1000)
    assert bench.forgive() == [0] and bench.remaining() == [0]


def test_what_is_sent_twice_in_one_batch_gets_one_answer(bench):
    bench.limits([tokens(BUCKET, 1000)])
    bench.spend(1500)
    o = Op(FORGIVE, ["t"], resent=True, slice="{b}f", nonce=b"same one")
    assert [bench.forgiven(answer) for answer in bench.batch(o, o)] == [[500], [500]]
    assert bench.remaining() == [0]


@pytest.mark.parametrize("limit", EVERY_KIND)
def test_what_was_sent_again_forgives_once(bench, limit):
    bench.limits([limit])
    o, _ = bench.acquire(tokens=0)
    bench.spend(1500)
    assert bench.forgive() == [500]
    sent = bench.asked
    bench.report(o, tokens=300)
    assert bench.remaining() == [-300]
    assert bench.forgiven(bench.one(sent.change(resent=True))) == [500]
    assert bench.remaining() == [-300]
    assert 0 < bench.client.pttl("{b}f")
    assert bench.forgive() == [300]


def test_a_rolling_limit_gets_back_the_rest_when_it_would_have(bench):
    bench.limits([tokens(ROLLING, 1000)])
    bench.spend(600, estimate=600)
    bench.at += 30_000
    bench.spend(5000)
    bench.at += 10_000
    assert bench.forgive() == [4600]
    assert bench.remaining() == [0]
    bench.at += 20_000 + 750
    assert bench.remaining() == [600]  # the first 600 are a minute old; 400 of the others still count
    bench.at += 30_000
    assert bench.remaining() == [1000]


def test_a_token_bucket_fills_from_zero_to_the_millisecond(bench):
    bench.limits([tokens(BUCKET, 600)])
    bench.spend(6000)
    bench.at += 1050  # 10.5 have come
    assert bench.forgive() == [5390]
    assert bench.remaining() == [0]
    bench.at += 49
    assert bench.remaining() == [0]
    bench.at += 1
    assert bench.remaining() == [1]
    bench.at += 60_000
    assert bench.remaining() == [600]


def test_what_was_charged_before_is_still_given_back_once(bench):
    bench.limits([tokens(BUCKET, 1000), tokens(ROLLING, 1000), daily(1000)])
    first, _ = bench.acquire(tokens=200)
    bench.spend(5000)
    assert bench.forgive() == [4200] * 3
    assert bench.report(first, tokens=50) == SETTLED
    assert bench.remaining() == [150] * 3
    assert bench.forgive() == [0] * 3


def test_what_runs_is_held_and_not_forgiven(bench):
    bench.limits([Limit(OUTPUT, ROLLING, 1000, at_end=True), Limit(REQUESTS, BUCKET, 10)])
    running, _ = bench.acquire(output_tokens=900)
    other, _ = bench.acquire(output_tokens=50)
    bench.report(other, output_tokens=400)
    assert bench.remaining()[0] == -300
    assert bench.forgive() == [300, 0]
    assert bench.report(running, output_tokens=900) == SETTLED
    assert bench.remaining()[0] == 0
    assert bench.forgive() == [0, 0]


def test_a_smaller_limit_makes_debt_that_is_forgiven_too(bench):
    bench.limits([tokens(BUCKET, 1000), tokens(ROLLING, 2000)])
    bench.spend(1000, estimate=1000)
    bench.limits([tokens(BUCKET, 300), tokens(ROLLING, 2000)])
    assert bench.remaining() == [-700, 1000]
    assert bench.forgive() == [700, 0]
    assert bench.remaining() == [0, 1000]


def test_several_buckets_at_once_and_the_pool_stays_as_it_is(bench):
    bench.limits([tokens(BUCKET, 1000)], [tokens(ROLLING, 1000)])
    bench.buckets["i"] = packing.Bucket("{b}i", [daily(100)])
    o, _ = bench.acquire(tokens=10)
    bench.report(o, tokens=3000)
    assert bench.forgive("t", "i") == [2000, 2900]
    assert (bench.remaining("t"), bench.remaining("i"), bench.remaining("p")) == ([0], [0], [-2000])
    ledger = packing.unpack_ledger(bench.client.get("{b}p"))
    assert ledger["spent"][packing.TOKENS] == 3000


def test_forgiving_after_a_report_of_the_same_batch(bench):
    bench.limits([tokens(BUCKET, 1000)])
    o, _ = bench.acquire(tokens=10)
    report = bench.after(o, REPORT, tokens=1700)
    forgive = Op(FORGIVE, ["t"], slice="{b}f", nonce=b"forgive!")
    settled, forgiven = bench.batch(report, forgive)
    assert settled.outcome == SETTLED and bench.forgiven(forgiven) == [700]
    assert bench.one(bench.ask(tokens=1)).outcome == DENIED


def test_its_record_is_no_reservation(bench):
    bench.limits([tokens(BUCKET, 1000)])
    bench.spend(5000)
    bench.forgive()
    taken = bench.op(CANCEL, nonce=bench.asked.nonce, slice="{b}f")
    assert bench.one(taken).outcome != SETTLED and bench.remaining() == [0]
    raw = bench.client.fcall(packing.load(bench.client) + "_audit", 1, "{b}f", b"\0" * 8)
    assert packing.unpack_audit(raw)[1:] == ([], 1, {})
    assert bench.one(bench.op(ACQUIRE, tokens=1, resent=True, nonce=bench.asked.nonce, slice="{b}f", check=9)).outcome != GRANTED


def test_yesterdays_debt_needs_no_forgiving(bench):
    bench.limits([daily(1000)])
    bench.spend(5000)
    bench.at = MIDNIGHT
    assert bench.forgive() == [0] and bench.remaining() == [1000]
