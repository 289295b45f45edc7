"""Dead letters: the letter, the limit, sending and replay."""
