"""The world comes in: metrics by scraping, deployments, history, CSV files.

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
from holdfast.sources.scraper import ScrapeFailed, Scraper, ScrapeRow

__all__ = [
    "Change",
    "CsvSeries",
    "DeploymentsSource",
    "DetectResult",
    "HistoryFile",
    "ScrapeError",
    "ScrapeFailed",
    "ScrapeRow",
    "Scraper",
    "SourceError",
    "detect_file",
    "json_lines",
    "parse_metrics",
    "read_csv",
    "write_csv",
    "write_rows",
]
