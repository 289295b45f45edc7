"""What rules of alerts look at in the database: what was not taken away, and how long it is news."""

from datetime import timedelta

# What is older when it is seen is no news.
NEWS_FOR = timedelta(hours=48)
POSTS = "posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id"
COMMENTS = "comments AS c"
# What was taken away, on Reddit or on request, meets no rule.
POST_STANDS = "p.removed_by IS NULL AND (p.erased_until IS NULL OR p.erased_until < p.last_polled_at)"
COMMENT_STANDS = "c.removed_by IS NULL AND c.body IS NOT NULL"
