"""Subreddits as Reddit's API writes them: all keys of a recorded answer, with the same types."""

from functools import lru_cache
from typing import Any

import orjson

from signalflow.simulator.shapes import CREATED_OFFSET, html_of
from signalflow.simulator.subreddits import Subreddit, stable_number

BORN, BORN_SPREAD = 1_201_233_135.0, 400_000_000
SUBREDDIT_CONSTANTS: dict[str, Any] = {
    "accounts_active": None,
    "accounts_active_is_fuzzed": False,
    "active_user_count": None,
    "advertiser_category": "",
    "all_original_content": False,
    "allow_chat_post_creation": False,
    "allow_discovery": True,
    "allow_galleries": True,
    "allow_images": True,
    "allow_polls": True,
    "allow_videogifs": True,
    "allow_videos": True,
    "banner_background_color": "",
    "banner_background_image": "",
    "banner_img": "",
    "banner_size": None,
    "can_assign_link_flair": False,
    "can_assign_user_flair": False,
    "collapse_deleted_comments": True,
    "comment_score_hide_mins": 60,
    "community_icon": "",
    "disable_contributor_requests": False,
    "emojis_custom_size": None,
    "emojis_enabled": False,
    "free_form_reports": True,
    "has_menu_widget": False,
    "header_img": None,
    "header_size": None,
    "header_title": None,
    "hide_ads": False,
    "icon_img": "",
    "icon_size": None,
    "is_chat_post_feature_enabled": True,
    "is_crosspostable_subreddit": True,
    "is_enrolled_in_new_modmail": None,
    "key_color": "#24a0ed",
    "lang": "en",
    "link_flair_enabled": True,
    "link_flair_position": "left",
    "mobile_banner_image": "",
    "notification_level": None,
    "original_content_tag_enabled": False,
    "primary_color": "#9f9f9f",
    "public_traffic": False,
    "restrict_commenting": False,
    "restrict_posting": True,
    "show_media": True,
    "show_media_preview": True,
    "spoilers_enabled": True,
    "submission_type": "any",
    "submit_link_label": "Submit a link",
    "submit_text": "",
    "submit_text_html": None,
    "submit_text_label": "Submit a text post",
    "suggested_comment_sort": None,
    "user_can_flair_in_sr": None,
    "user_flair_background_color": None,
    "user_flair_css_class": None,
    "user_flair_enabled_in_sr": False,
    "user_flair_position": "right",
    "user_flair_richtext": [],
    "user_flair_template_id": None,
    "user_flair_text": None,
    "user_flair_text_color": None,
    "user_flair_type": "text",
    "user_has_favorited": False,
    "user_is_banned": False,
    "user_is_contributor": False,
    "user_is_moderator": False,
    "user_is_muted": False,
    "user_is_subscriber": False,
    "user_sr_flair_enabled": None,
    "user_sr_theme_enabled": True,
    "videostream_links_count": 0,
    "whitelist_status": "all_ads",
    "wiki_enabled": True,
    "wls": 6,
}


def subreddit_json(sub: Subreddit) -> bytes:
    """The thing `{"kind": "t5", "data": ...}`."""
    return _json(sub.name, sub.id, sub.subscribers, sub.theme, sub.access)


@lru_cache(maxsize=1_024)
def _json(name: str, thing_id: str, subscribers: int, theme: str, access: str) -> bytes:
    created = BORN + stable_number(name.lower()) % BORN_SPREAD
    about = f"r/{name}: a community about {theme}."
    data = SUBREDDIT_CONSTANTS | {
        "id": thing_id,
        "name": f"t5_{thing_id}",
        "display_name": name,
        "display_name_prefixed": f"r/{name}",
        "title": name,
        "url": f"/r/{name}/",
        "subscribers": subscribers,
        "subreddit_type": "private" if access == "private" else "public",
        "quarantine": access == "quarantined",
        "over18": False,
        "public_description": about,
        "public_description_html": html_of(about),
        "description": f"# {name}\n\n{about}",
        "description_html": html_of(about),
        "created": created + CREATED_OFFSET,
        "created_utc": created,
    }
    return orjson.dumps({"kind": "t5", "data": data})
