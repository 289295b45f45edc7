"""SQL sorts the names of subreddits as Python does, whatever the collation of the database."""

import re

from signalflow.storage import subreddit_changes, subreddits


def test_every_statement_orders_names_by_code_point() -> None:
    """The API cuts pages by Python's comparison. With another order in SQL, pages would miss names."""
    statements = [
        text for module in (subreddits, subreddit_changes) for text in vars(module).values() if isinstance(text, str)
    ]
    orders = [order for text in statements for order in re.findall(r"ORDER BY .*", text)]
    assert len(orders) >= 5
    assert {order.removesuffix(" FOR UPDATE") for order in orders} == {'ORDER BY lower(name) COLLATE "C"'}
