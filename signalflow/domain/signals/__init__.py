"""Signals: what a post does that is worth telling."""
