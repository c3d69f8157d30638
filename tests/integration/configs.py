"""Configurations for tests."""

POOL = "openai/gpt-4o"


def limit(unit, amount, per=None, **more):
    out = {"unit": unit, "amount": amount}
    if per is not None:
        out["per"] = per
    out.update(more)
    return out


# A pool must have limits; this one never refuses a request that states no dollars.
WIDE = [limit("usd", 10**12, "second", algorithm="bucket")]


def config(store, pool=None, tier=(), pools=None, tiers=None, tenants=None, hold_back=None, **more):
    """The pool POOL and the tier "all" with these limits, or pools and tiers in full."""
    one_pool = {"limits": list(pool or WIDE)}
    if hold_back is not None:
        one_pool["hold_back"] = hold_back
    out = {
        "listen": {"resp": "127.0.0.1:0", "http": None},
        "store": {"url": store if isinstance(store, str) else store.url},
        "pools": pools if pools is not None else {POOL: one_pool},
        "tiers": tiers if tiers is not None else {"all": {"priority": 1, "limits": list(tier)}},
        "tenants": tenants or {},
        "default_tier": "all",
        "on_outage": "deny",
    }
    out.update(more)
    return out
