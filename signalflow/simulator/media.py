"""What a post links to: the fields that differ between text posts, links, images and galleries."""

import hashlib
from typing import Any

from signalflow.simulator.posts import Post
from signalflow.simulator.text import Text

# The widths in which Reddit offers a preview.
PREVIEW_WIDTHS = (108, 216, 320, 640, 960, 1080)
# The share of links that are videos. With it the mean size of a post is Reddit's, 5.1 kB.
VIDEO_PERCENT = 40


def media_fields(post: Post, text: Text, permalink: str) -> dict[str, Any]:
    """The keys of a post that depend on its kind."""
    if post.kind == "self":
        return {
            "is_self": True,
            "domain": f"self.{post.subreddit.name}",
            "url": f"https://www.reddit.com{permalink}",
            "selftext": text.body,
            "selftext_html": None,
            "thumbnail": "self",
            "is_reddit_media_domain": False,
        }
    token = hashlib.blake2b(str(post.text_seed).encode(), digest_size=20).hexdigest()
    fields: dict[str, Any] = {
        "is_self": False,
        "selftext": "",
        "selftext_html": None,
        "thumbnail": f"https://b.thumbs.redditmedia.com/{token}.jpg",
        "thumbnail_height": 78,
        "thumbnail_width": 140,
    }
    if post.kind == "gallery":
        url = f"https://www.reddit.com/gallery/{post.id}"
        return fields | _gallery(token, 3 + post.text_seed % 4) | _target(url, "reddit.com")
    if post.kind == "image":
        url = f"https://i.redd.it/{token[:13]}.jpg"
        return (
            fields | _target(url, "i.redd.it") | {"post_hint": "image", "preview": _preview(url, token, post.over_18)}
        )
    thumb = f"https://external-preview.redd.it/{token}.jpg"
    if post.text_seed % 100 < VIDEO_PERCENT:
        url = f"https://www.youtube.com/watch?v={token[:11]}"
        video = _video(token[:11], text.title, post.id)
        return (
            fields
            | _target(url, "youtube.com")
            | video
            | {"post_hint": "rich:video", "preview": _preview(thumb, token, post.over_18)}
        )
    return (
        fields | _target(text.url, text.domain) | {"post_hint": "link", "preview": _preview(thumb, token, post.over_18)}
    )


def _target(url: str, domain: str) -> dict[str, Any]:
    return {
        "url": url,
        "url_overridden_by_dest": url,
        "domain": domain,
        "is_reddit_media_domain": domain == "i.redd.it",
    }


def _preview(url: str, token: str, over_18: bool) -> dict[str, Any]:
    """Adult posts have a blurred variant of every size beside the plain one."""
    variants = {"obfuscated": _sizes(url, f"{token}~")} if over_18 else {}
    return {"images": [_sizes(url, token) | {"variants": variants, "id": token}], "enabled": False}


def _sizes(url: str, token: str) -> dict[str, Any]:
    resolutions = [
        {
            "url": f"{url}?width={width}&crop=smart&auto=webp&s={_signature(token, width)}",
            "width": width,
            "height": width * 9 // 16,
        }
        for width in PREVIEW_WIDTHS
    ]
    source = {"url": f"{url}?auto=webp&s={_signature(token, 0)}", "width": 1200, "height": 675}
    return {"source": source, "resolutions": resolutions}


def _video(video: str, title: str, post_id: str) -> dict[str, Any]:
    frame = (
        f'<iframe width="356" height="200" src="https://www.youtube.com/embed/{video}?feature=oembed&enablejsapi=1" '
        'frameborder="0" allow="accelerometer; autoplay; clipboard-write; encrypted-media; gyroscope; '
        'picture-in-picture; web-share" referrerpolicy="strict-origin-when-cross-origin" allowfullscreen '
        f'title="{title}"></iframe>'
    )
    oembed = {
        "provider_url": "https://www.youtube.com/",
        "version": "1.0",
        "title": title,
        "type": "video",
        "thumbnail_width": 480,
        "height": 200,
        "width": 356,
        "html": frame,
        "author_name": f"channel {video[:4]}",
        "provider_name": "YouTube",
        "thumbnail_url": f"https://i.ytimg.com/vi/{video}/hqdefault.jpg",
        "thumbnail_height": 360,
        "author_url": f"https://www.youtube.com/@channel{video[:4]}",
    }
    media = {"type": "youtube.com", "oembed": oembed}
    embed = {"content": frame, "width": 356, "scrolling": False, "height": 200}
    secure = embed | {"media_domain_url": f"https://www.redditmedia.com/mediaembed/{post_id}"}
    return {"media": media, "secure_media": media, "media_embed": embed, "secure_media_embed": secure}


def _gallery(token: str, pictures: int) -> dict[str, Any]:
    ids = [f"{token[:12]}{number}" for number in range(pictures)]
    metadata = {
        media: {
            "status": "valid",
            "e": "Image",
            "m": "image/jpg",
            "p": [
                {
                    "y": width * 4 // 3,
                    "x": width,
                    "u": f"https://preview.redd.it/{media}.jpg"
                    f"?width={width}&crop=smart&auto=webp&s={_signature(media, width)}",
                }
                for width in PREVIEW_WIDTHS
            ],
            "s": {"y": 4032, "x": 3024, "u": f"https://preview.redd.it/{media}.jpg?s={_signature(media, 0)}"},
            "id": media,
        }
        for media in ids
    }
    items = [{"media_id": media, "id": 10_000 + place} for place, media in enumerate(ids)]
    return {"is_gallery": True, "gallery_data": {"items": items}, "media_metadata": metadata}


def _signature(token: str, width: int) -> str:
    return hashlib.blake2b(f"{token}{width}".encode(), digest_size=20).hexdigest()
