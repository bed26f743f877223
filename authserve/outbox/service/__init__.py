"""Messages: owed, delivered, looked at."""

from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import HORIZON, SENT_RETENTION, MessageState, is_given_up
from authserve.outbox.service.delivering import (
    ClaimedMessage,
    assign_user,
    claim,
    delete_held,
    is_newest_of_topic,
    mark_dropped,
    mark_failed,
    mark_sent,
    require_held,
)
from authserve.outbox.service.heartbeat import find_last_heartbeat, record_heartbeat
from authserve.outbox.service.keeping import (
    MessageCount,
    count_finished_messages,
    count_unfinished_messages,
    delete_messages_of,
    find_messages_of,
    find_messages_to,
    find_oldest_pending,
    get_message,
    is_owed_since,
    list_messages,
    purge_finished_messages,
    retry,
)
from authserve.outbox.service.owing import close_topic, drop_topic, enqueue

__all__ = [
    "HORIZON",
    "SENT_RETENTION",
    "ClaimedMessage",
    "MessageCount",
    "MessageState",
    "OutboxMessage",
    "assign_user",
    "claim",
    "close_topic",
    "count_finished_messages",
    "count_unfinished_messages",
    "delete_held",
    "delete_messages_of",
    "drop_topic",
    "enqueue",
    "find_last_heartbeat",
    "find_messages_of",
    "find_messages_to",
    "find_oldest_pending",
    "get_message",
    "is_given_up",
    "is_newest_of_topic",
    "is_owed_since",
    "list_messages",
    "mark_dropped",
    "mark_failed",
    "mark_sent",
    "purge_finished_messages",
    "record_heartbeat",
    "require_held",
    "retry",
]
