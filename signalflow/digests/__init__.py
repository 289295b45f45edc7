"""The digest of a day for people: as text, as a page of its own, and as an e-mail."""
