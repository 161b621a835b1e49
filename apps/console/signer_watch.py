"""The signer as monitors see it: whether it answers, and what it has counted, on the web process's metrics page.

The signer itself serves no page: it answers over its own socket, from its memory, to those who may ask it anyway
(docs/signer.md). One look with a time limit serves health, the admin's home page and the scrape.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from django.conf import settings
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from apps.core.looks import Glance, Look
from apps.wallets.signer.tally import BOUNDS
from apps.wallets.signer_client import Signer, SignerFigures

PATIENCE_SECONDS = 1.0


def _ask() -> SignerFigures:
    return Signer(settings.SIGNER_SOCKET).figures()


#: `get().error` is empty while the signer answers in time.
LOOK: Look[SignerFigures] = Look("signer", _ask, patience_seconds=PATIENCE_SECONDS)


def begin() -> None:
    """Ask without waiting; `glance` then joins."""
    if settings.SIGNER_SOCKET is not None:
        LOOK.begin()


def glance() -> Glance[SignerFigures] | None:
    """Return what the signer tells now; None on a desk that has no signer."""
    return None if settings.SIGNER_SOCKET is None else LOOK.get()


def metrics() -> Iterable[Metric]:
    """Return the signer's figures; of one that does not answer, that alone. Labels are few and known beforehand."""
    seen = glance()
    if seen is None:
        return
    yield GaugeMetricFamily("signer_up", "1 if the signer answered in time", value=0.0 if seen.error else 1.0)
    if seen.error or seen.value is None:
        return
    told = seen.value
    signed = CounterMetricFamily("signer_signatures", "Transactions signed since it was started", labels=["kind"])
    for kind, count in told.signed.items():
        signed.add_metric([kind], count)
    yield signed
    refused = CounterMetricFamily("signer_refusals", "Requests it refused since it was started", labels=["reason"])
    for reason, count in told.refused.items():
        refused.add_metric([reason], count)
    yield refused
    bounds = [*map(str, BOUNDS), "+Inf"]
    yield HistogramMetricFamily(
        "signer_signing_seconds",
        "Time from a request to its signature, its nodes and price source included",
        buckets=list(zip(bounds, accumulate(told.took), strict=True)),
        sum_value=told.seconds,
    )
    yield from _caps_and_keys(told)
    yield from _sources(told)


def _caps_and_keys(told: SignerFigures) -> Iterable[Metric]:
    yield GaugeMetricFamily(
        "signer_day_spent_lamports", "Counted against the day's cap within 24 hours", value=told.spent_day_lamports
    )
    yield GaugeMetricFamily(
        "signer_day_risked_lamports", "What sales within 24 hours could lose at most", value=told.risked_day_lamports
    )
    yield GaugeMetricFamily("signer_day_cap_lamports", "The day's cap", value=told.max_day_lamports)
    keys = GaugeMetricFamily("signer_keys", "Keys it holds: loaded, or locked until a passphrase", labels=["status"])
    keys.add_metric(["loaded"], told.keys_loaded)
    keys.add_metric(["locked"], told.keys_locked)
    yield keys


def _sources(told: SignerFigures) -> Iterable[Metric]:
    up = GaugeMetricFamily(
        "signer_source_up", "1 if its own nodes, or price source, answered when last asked", labels=["source"]
    )
    for name, answered in told.sources_up.items():
        up.add_metric([name], float(answered))
    yield up
    failures = CounterMetricFamily(
        "signer_source_failures", "Calls that its nodes or price source did not answer usefully", labels=["source"]
    )
    for name, count in told.source_failures.items():
        failures.add_metric([name], count)
    yield failures
