"""Where the simulated Reddit shows a post in a listing by rank."""

from signalflow.domain.discovery import POPULAR
from signalflow.simulator.pages import RANKING_SECONDS
from signalflow.simulator.ranking import ranked
from signalflow.simulator.world import World


def true_ranks(world: World, listing: str, post_sort: str, post_id: str, observed_at: float) -> set[int]:
    """The ranks, from 1, of a post in a subreddit's listing as it was asked for up to a second before it was observed.

    r/popular has the posts of all public subreddits. Two ranks when the simulator made its ranking anew meanwhile; none
    when the listing did not show the post.
    """
    sort, _, period = post_sort.partition(":")
    names = [listing]
    if listing == POPULAR:
        names = [key for key, subreddit in world.subreddits.items() if subreddit.access == "public"]
    ranks = set()
    for asked_at in (observed_at - 1.0, observed_at):
        ranked_at = asked_at // RANKING_SECONDS * RANKING_SECONDS
        posts = ranked(world.newest(names, ranked_at), sort, period, ranked_at)
        shown = [post.id for post in posts if post.visible_at(observed_at)]
        if post_id in shown:
            ranks.add(shown.index(post_id) + 1)
    return ranks
