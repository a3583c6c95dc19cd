"""Families as Prometheus reads them: its text format, or OpenMetrics where the scraper asks for that."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder

from gateway.observability.families import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from gateway.observability.families import Family


OPENMETRICS: Final = "application/openmetrics-text"
"""What else `Accept` says is not passed on: the library repeats some of it in its answer."""


class Exposition:
    """Writes families out, and beside them what `prometheus_client` knows of the process and of Python."""

    def __init__(self) -> None:
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def render(self, families: Iterable[Family], accept: str) -> tuple[bytes, str]:
        """Return the text and its content type; any thread may call this."""
        moment = _Moment([*map(_metric, families), *self._process.collect()])
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
        return encode(moment), content_type


class _Moment:
    """What was collected, as a collector."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        return iter(self._metrics)


def _metric(family: Family) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, value in family.samples:
            if isinstance(value, Histogram):
                buckets = list(zip(_names(value.bounds), value.cumulative, strict=True))
                histogram.add_metric(labels, buckets, value.total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in family.samples:
        if not isinstance(value, Histogram):
            metric.add_metric(labels, value)
    return metric


@cache  # the bounds are constants of ours
def _names(bounds: tuple[float, ...]) -> tuple[str, ...]:
    return (*(str(float(bound)) for bound in bounds), "+Inf")
