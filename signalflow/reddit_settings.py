"""The settings of Reddit: which source of posts is polled, and how. They are part of `Settings`."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from signalflow.database_settings import Seconds
from signalflow.errors import Invalid

# One line of visible ASCII: it becomes part of a header.
CONTACT = re.compile(r"[\x21-\x7e][\x20-\x7e]{1,198}[\x21-\x7e]")
# What Reddit allows an address, and a reader with a personal feed, in a minute. Answers tell when that has changed.
FEEDS_PER_MINUTE, PERSONAL_FEEDS_PER_MINUTE = 1.0, 10.0
_USER = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SECRET = re.compile(r"[A-Za-z0-9]{1,100}")


@dataclass(frozen=True, slots=True)
class PersonalFeed:
    """The personal feed of a reader who has an account: the secret that its addresses share lifts Reddit's limit."""

    user: str
    secret: SecretStr

    @classmethod
    def of(cls, address: SecretStr) -> "PersonalFeed":
        """From any feed address of Reddit's page of feeds, or from its end, `feed=SECRET&user=NAME`.

        Raises Invalid, without a word of the address.
        """
        text = address.get_secret_value().strip()
        try:
            query = parse_qs(urlsplit(text).query or text.removeprefix("?"))
        except ValueError:
            query = {}
        user, secret = query.get("user", [""])[-1], query.get("feed", [""])[-1]
        if not (_USER.fullmatch(user) and _SECRET.fullmatch(secret)):
            raise Invalid("not the address of a personal feed, which ends in ?feed=SECRET&user=NAME", field="feed")
        return cls(user, SecretStr(secret))

    def params(self) -> dict[str, str]:
        """The parameters of a request, with the secret in plain text."""
        return {"feed": self.secret.get_secret_value(), "user": self.user}


class RedditSettings(BaseSettings):
    """The source, its credentials and the budget. Raises pydantic.ValidationError for a source that lacks something."""

    reddit_source: Literal["", "api", "feeds", "simulator"] = Field(
        "",
        description="Where posts come from: `api` (needs a client id), `feeds` (needs a contact) or `simulator`; empty:"
        " the API if there is a client id, otherwise the simulator.",
    )
    reddit_client_id: str = Field(
        "",
        description="OAuth client id; empty: `signalflow up` starts its simulator, a worker by itself does not poll.",
    )
    reddit_client_secret: SecretStr = Field(SecretStr(""), description="OAuth client secret.")
    reddit_contact: str = Field(
        "", description="Whom Reddit may write to about requests for feeds, such as a mail address."
    )
    reddit_feed: SecretStr = Field(
        SecretStr(""),
        description="Address of a personal feed, or its end `feed=SECRET&user=NAME`: with it feeds may be asked more "
        "often. Kept like a password.",
    )
    reddit_base_url: str = Field(
        "",
        description="Another address for Reddit's API or feeds, such as the simulator's; empty: Reddit itself, if a "
        "source is set.",
    )
    reddit_user_agent: str = Field(
        "linux:signalflow:0.1.0 (by /u/signalflow_operator)",
        min_length=7,
        description="`<platform>:<app ID>:<version> (by /u/<user>)`; feeds are asked with the contact instead.",
    )
    reddit_timeout: Seconds = Field(16.0, description="Seconds one request to Reddit may take.")
    poll_enabled: bool = Field(
        True, description="Whether workers poll Reddit; if not, they only process what is in Kafka."
    )
    requests_per_minute: float = Field(
        60.0,
        gt=0,
        le=95,
        description="Budget for all requests to Reddit's API. How often feeds may be asked, Reddit's answers say.",
    )
    listing_requests_per_minute: float = Field(
        20.0, gt=0, le=95, description="Part of the budget for discovery, which finds new posts."
    )
    refresh_ids_per_minute: float = Field(
        210.0, ge=0, description="Known posts refreshed per minute, in requests of 100."
    )
    comments_per_post: int = Field(
        20,
        ge=0,
        le=500,
        description="Comments read from the tree of a post that takes off, within a tenth of what listings get; 0: "
        "none.",
    )
    comments_velocity: float = Field(
        0.2,
        gt=0,
        description="Score per second above which a post takes off, so that comments of its tree are read.",
    )
    discover_minutes: float = Field(
        15.0,
        ge=0,
        le=1440,
        description="Minutes between two looks at r/popular for subreddits that rise; 0: none. There are none either "
        "where Reddit allows less than two requests a minute. Reddit's list of popular subreddits is read beside it, "
        "once an hour at most.",
    )
    discover_watch: int = Field(
        0,
        ge=0,
        le=50,
        description="How many of the subreddits that rise most are watched without being asked for, each for a day; 0: "
        "none.",
    )
    first_look_hours: float = Field(
        24.0,
        ge=0,
        le=48,
        description="How far a subreddit that was never polled is read back, in what the budget has to spare; 0: not.",
    )
    sweep_ids_per_minute: float = Field(
        100.0,
        ge=0,
        description="Stored posts older than two days that are checked for deletion per minute, in requests of 100.",
    )
    sweep_comments_per_minute: float = Field(
        100.0,
        ge=0,
        description="Stored comments older than a day that are checked for deletion per minute, in requests of 100.",
    )
    config_refresh_seconds: float = Field(20.0, gt=0, le=60, description="Seconds between reads of subreddit_config.")

    @field_validator("reddit_base_url")
    @classmethod
    def _base_url_is_bare(cls, value: str) -> str:
        if value and (not value.startswith(("http://", "https://")) or value.count("/") != 2):
            raise ValueError(
                "must be http(s)://host[:port] without a path or a trailing slash (asyncpraw concatenates)"
            )
        return value

    @field_validator("reddit_contact")
    @classmethod
    def _contact_fits_a_header(cls, value: str) -> str:
        if value and not CONTACT.fullmatch(value):
            raise ValueError("must be 3 to 200 characters of ASCII in one line, such as you@example.org")
        return value

    @field_validator("reddit_feed")
    @classmethod
    def _feed_is_personal(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            try:
                PersonalFeed.of(value)
            except Invalid as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "RedditSettings":
        if self.listing_requests_per_minute > self.requests_per_minute:
            raise ValueError("listing_requests_per_minute must not exceed requests_per_minute")
        if bool(self.reddit_client_id) != bool(self.reddit_client_secret.get_secret_value()):
            raise ValueError("reddit_client_id and reddit_client_secret must be set together")
        if self.reddit_source == "feeds" and not self.reddit_contact:
            raise ValueError(
                "SIGNALFLOW_REDDIT_SOURCE=feeds needs SIGNALFLOW_REDDIT_CONTACT (`signalflow up --contact`), because "
                "Reddit refuses requests that name nobody: set it to a mail address of yours, such as you@example.org"
            )
        if self.reddit_source == "api" and not (self.reddit_client_id or self.reddit_base_url):
            raise ValueError(
                "SIGNALFLOW_REDDIT_SOURCE=api needs SIGNALFLOW_REDDIT_CLIENT_ID and SIGNALFLOW_REDDIT_CLIENT_SECRET: "
                "set them, or set SIGNALFLOW_REDDIT_SOURCE to feeds, which need none"
            )
        return self

    @property
    def personal_feed(self) -> PersonalFeed | None:
        """The personal feed, if there is one."""
        return PersonalFeed.of(self.reddit_feed) if self.reddit_feed.get_secret_value() else None

    @property
    def request_budget(self) -> float:
        """Requests a minute to the source: what the settings allow for the API, or what feeds allow at first."""
        if self.reddit_source != "feeds":
            return self.requests_per_minute
        return FEEDS_PER_MINUTE if self.personal_feed is None else PERSONAL_FEEDS_PER_MINUTE
