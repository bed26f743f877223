"""Messages: owed, delivered, looked at."""

from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import MessageState, is_given_up
from authserve.outbox.service.delivering import (
    ClaimedMessage,
    claim,
    is_newest_of_topic,
    mark_dropped,
    mark_failed,
    mark_sent,
    require_held,
)
from authserve.outbox.service.keeping import (
    MessageCount,
    count_finished_messages,
    count_unfinished_messages,
    delete_messages_of,
    find_messages_of,
    find_oldest_pending,
    get_message,
    list_messages,
    purge_finished_messages,
    retry,
)
from authserve.outbox.service.owing import drop_topic, enqueue

__all__ = [
    "ClaimedMessage",
    "MessageCount",
    "MessageState",
    "OutboxMessage",
    "claim",
    "count_finished_messages",
    "count_unfinished_messages",
    "delete_messages_of",
    "drop_topic",
    "enqueue",
    "find_messages_of",
    "find_oldest_pending",
    "get_message",
    "is_given_up",
    "is_newest_of_topic",
    "list_messages",
    "mark_dropped",
    "mark_failed",
    "mark_sent",
    "purge_finished_messages",
    "require_held",
    "retry",
]
