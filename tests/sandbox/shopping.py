"""A customer of the platform, for tests: places orders and reads metrics over HTTP."""

import json
import urllib.request
from urllib.error import HTTPError

from prometheus_client.parser import text_string_to_metric_families

from holdfast.sandbox.platform import Platform


def order(platform: Platform, region: str, *, coupon: bool, item: int = 7) -> int:
    """Place one order and return the answer's status."""
    body = {"item": item, "quantity": 2, "coupon": {"percent": 10} if coupon else None}
    return post(platform.site.url(platform.blueprint.api, region, "/checkout"), body)


def post(url: str, document: object, *, timeout_s: float = 10.0) -> int:
    """Post a document and return the answer's status."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        url,
        data=json.dumps(document).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def metrics(url: str) -> dict[str, float]:
    """Scrape a page; samples of one name are summed."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found
