"""The words that several modules use for the same few values. Light to import, so that `--help` stays fast."""

from typing import Literal, get_args

# How an observation of a post came about: from a listing, where it was new, by a refresh, or from a file.
ObservationMode = Literal["new", "refresh", "hot", "top", "rising", "trending", "backfill"]
# Who takes a post away, in Reddit's words: its author, a moderator or a filter of the subreddit, or Reddit. Any other
# word is `other`.
Remover = Literal[
    "deleted",
    "author",
    "user",
    "moderator",
    "automod_filtered",
    "reddit",
    "content_takedown",
    "copyright_takedown",
    "legal_operations",
    "community_ops",
    "anti_evil_ops",
    "other",
]
REMOVERS: frozenset[str] = frozenset(get_args(Remover))
# Stands for a remover where somebody asked us to erase the words. Reddit may show them still.
REQUEST = "request"
SentimentLabel = Literal["positive", "neutral", "negative"]

# What a user may do; each role may do all that the one before it may.
Role = Literal["reader", "operator", "admin"]
# What an API key may do.
KeyScope = Literal["read", "dlq", "config", "admin"]

# What a sentiment score was computed from: the text, or the text with typographic apostrophes (’) replaced by plain
# ones. A text that is not English has no score.
SentimentBasis = Literal["as_written", "folded_apostrophes", "not_english"]
# What a signal says: a post will be among the best of its subreddit, a post or a subreddit is unlike what is usual
# there, or a term is in far more titles than before.
SignalKind = Literal["viral", "unusual_here", "burst"]
# What a signal is about.
SignalSubject = Literal["post", "subreddit", "term"]
# The step at which a record failed.
Stage = Literal["decode", "validate", "enrich", "write"]
# What became of a dead letter.
LetterState = Literal["dead", "replayed", "dead_again", "resolved"]
# What a replay does when a letter fails again.
ReplayPolicy = Literal["stop", "continue"]

# Where the history of posts is stored: in a hypertable of TimescaleDB, or in partitions by day.
SchemaMode = Literal["timescaledb", "native"]

# What a run of the history did: a minute of polling, something that polling did beside it, or a job on the database.
RunKind = Literal[
    "polling",
    "discovery",
    "first_look",
    "second_look",
    "once",
    "partitions",
    "rollup",
    "erasure",
    "trending",
    "retention",
    "resolved_letters",
    "compression",
]
# What became of a run. `partly`: with errors beside results. `idle`: nothing was asked. `stopped`: the worker stopped
# before the end. `silent`: the worker told no end and tells nothing any more, as after a crash.
RunOutcome = Literal["running", "ok", "partly", "failed", "idle", "stopped", "silent"]

# What a target of alerts understands: our JSON, an incoming webhook of a chat, e-mail; a feed is read by its link.
TargetShape = Literal["json", "slack", "discord", "mail", "feed"]
# What became of a message to a target. `waiting`: it is sent, or tried again, at its time.
DeliveryState = Literal["waiting", "done", "given_up"]
# What an alert is about.
AlertKind = Literal["post", "comment", "signal"]
