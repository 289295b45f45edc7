"""The kinds of requests for the tree of a post's comments, and what each kind does with its answer. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from signalflow.domain.comment_trees import BATCH, CommentTrees, Tree
from signalflow.domain.fetch import CommentsByIdRequest, Fetch, Findings, PostCommentsRequest, Request
from signalflow.domain.suspicion import Kind

# The most comments that Reddit shows of a tree in one answer.
MOST_SHOWN = 500


@dataclass(slots=True, eq=False)
class TreeFetch(Fetch):
    """The tree of a post: its best comments, and the names of others."""

    kind = "tree"
    request_kind: ClassVar[Kind] = "tree"
    tells_state = False
    observes_known = True

    tree: Tree
    trees: CommentTrees
    left_out: Sequence[tuple[Sequence[str], int]] | None = None

    @property
    def request(self) -> Request:
        return PostCommentsRequest(self.tree.post, min(self.tree.most, MOST_SHOWN))

    @property
    def may_be_refused(self) -> bool:
        # Its subreddit may be private.
        return True

    @property
    def not_followed(self) -> int:
        return self.tree.not_followed or 0

    def new_since(self, now: float) -> float:
        # However old a comment is, nobody need have seen it before.
        return -math.inf

    def note_tree(
        self,
        comments: Sequence[tuple[str, str | None, int | None]],
        left_out: Sequence[tuple[Sequence[str], int]] | None,
    ) -> Mapping[str, int]:
        self.left_out = left_out
        return self.tree.depths(comments)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        self.tree.count(findings.decisions, findings.confirmed)
        self.tree.note_left_out(self.left_out)
        self.trees.answered(self.tree, now)
        return False

    def failed(self, now: float) -> None:
        self.trees.failed(self.tree, now)

    def refused(self, now: float) -> None:
        # There is no such post, or its subreddit cannot be read.
        self.trees.refused(self.tree)


@dataclass(slots=True, eq=False)
class MoreCommentsFetch(TreeFetch):
    """Comments that the tree of a post named and did not show, requested by id."""

    kind = "more_comments"
    request_kind = "comments_by_id"

    ids: tuple[str, ...] = field(default=())

    @property
    def request(self) -> Request:
        return CommentsByIdRequest(self.ids)

    @property
    def may_be_refused(self) -> bool:
        # What cannot be read is left out of the answer.
        return False

    def asked_for(self, id_: str, subreddit: str) -> bool:
        return id_ in self.ids

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        self.tree.count(findings.decisions, findings.confirmed)
        self.tree.read_rest(self.ids, {item.id for item in findings.items})
        self.trees.answered(self.tree, now)
        return False


def fetch_of(tree: Tree, trees: CommentTrees) -> TreeFetch:
    """The next request for a tree: the tree itself, then what it left out."""
    if not tree.rest:
        return TreeFetch(tree, trees)
    return MoreCommentsFetch(tree, trees, ids=tree.rest[:BATCH])
