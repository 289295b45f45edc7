"""Searches of titles. The API, the live stream and the pages decide them by three programs."""

# Each is a search, a title, and whether the title meets it.
SEARCHES = (
    ("rocket engine", "Engines of a ROCKET", True),
    ("rocket engine", "A rocket", False),
    ('"rocket engine"', "Engines of a rocket", False),
    ('"rocket engine"', "New rocket engines", True),
    ('"rocket engine', "New rocket engines", True),
    ("mars or moon", "To the Moon", True),
    ("mars OR moon", "To the Moon", True),
    ("red mars or moon", "Mars", False),
    ("rocket -toy", "A toy rocket", False),
    ("-rocket", "A toy", True),
    ('rocket -"for sale"', "A rocket", True),
    ('rocket -"for sale"', "A rocket for sale", False),
    ("rocket -", "A rocket", True),
    ("ai", "He said: repair it", False),
    ("ai", "Is AI art?", True),
    ("cat", "A scattered concatenation", False),
    ("gpt-5", "Now GPT-5 is out", True),
    ("rocket, (engine)", "Rocket engines", True),
    ("c++", "C++ in space", True),
    ("don't", "They don't know", True),
    ("Brücke", "Die BRÜCKE brennt", True),
    ("猫", "駅で猫を見た", True),
    ("駅で猫", "駅で猫を見た", True),
    ("猫駅", "駅で猫を見た", False),
    ("tokyo", "東京tokyo", True),
    ("東京", "Tokyo東京2026", True),
    ("🚀", "To the moon 🚀🚀", True),
    ("???", "Anything", False),
    ("???", "What???", True),
    (".*", "Anything", False),
)
# The API compares stems and leaves out stop words. The live stream and the pages compare how words begin: so each of
# these is met in one of the two ways only, and here stands whether in that of the live stream.
ONLY_ONE_WAY = (
    ("engines", "The engine", False),
    ("the engine", "An engine", False),
    ("new", "News of today", True),
    ("don't", "They don’t know", True),
)
