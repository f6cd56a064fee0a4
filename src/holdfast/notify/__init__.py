"""Pages people.

Rule: a channel that fails never stops another, and a page that reached nobody is
a fact that the caller gets to know. What goes out is redacted here once more.
"""

from holdfast.notify.console import ConsoleChannel
from holdfast.notify.notifier import Notifier, paged_data
from holdfast.notify.page import Channel, Delivery, Page
from holdfast.notify.webhook import WebhookChannel

__all__ = [
    "Channel",
    "ConsoleChannel",
    "Delivery",
    "Notifier",
    "Page",
    "WebhookChannel",
    "paged_data",
]
