"""Reddit without credentials: its Atom feeds as a second source of posts."""
