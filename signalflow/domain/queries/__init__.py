"""The query language of alert rules, and which of many rules a post or comment meets. Pure."""
