"""Delivers an alert to one target: its bodies, its signature, where it may go, when to try again."""
