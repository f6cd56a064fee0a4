"""The world comes in: metrics by scraping and by queries, deployments, history, CSV files.

Whatever goes wrong out there becomes a reading or a message with a reason; it never becomes
an exception in a tick. This room turns bytes into numbers and decides nothing.
"""

from holdfast.sources.csv_series import (
    CsvSeries,
    DetectResult,
    detect_file,
    json_lines,
    read_csv,
    write_csv,
    write_rows,
)
from holdfast.sources.deployments import Change, DeploymentsSource, SourceError
from holdfast.sources.history import HistoryFile
from holdfast.sources.openmetrics import ScrapeError, parse_metrics
from holdfast.sources.prometheus import (
    EngineError,
    EngineFacts,
    PrometheusClient,
    PrometheusSettings,
    QueryError,
)
from holdfast.sources.prometheus_queries import (
    LOOKBACK_INTERVALS,
    Past,
    PrometheusQueries,
    Span,
    backfill_queries,
    read_past,
    tick_queries,
)
from holdfast.sources.scraper import ScrapeFailed, Scraper, ScrapeRow
from holdfast.sources.watched_files import WatchedFile, WatchedFiles

__all__ = [
    "LOOKBACK_INTERVALS",
    "Change",
    "CsvSeries",
    "DeploymentsSource",
    "DetectResult",
    "EngineError",
    "EngineFacts",
    "HistoryFile",
    "Past",
    "PrometheusClient",
    "PrometheusQueries",
    "PrometheusSettings",
    "QueryError",
    "ScrapeError",
    "ScrapeFailed",
    "ScrapeRow",
    "Scraper",
    "SourceError",
    "Span",
    "WatchedFile",
    "WatchedFiles",
    "backfill_queries",
    "detect_file",
    "json_lines",
    "parse_metrics",
    "read_csv",
    "read_past",
    "tick_queries",
    "write_csv",
    "write_rows",
]
