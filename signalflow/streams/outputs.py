"""What was written from the source partitions, and where to read them again when a log has lost some of it.

Brokers that come back without their last seconds may have kept a commit and lost records that were written before it.
A commit therefore tells how far its outputs were confirmed. An output that is lost is made again: its source is read
from an offset that was committed minutes before. Linux writes a file to its disk within 30 seconds (the default of
`vm.dirty_expire_centisecs`), so a commit that was kept is not minutes younger than an output that was lost.
"""

import math
from collections import deque
from collections.abc import Collection, Mapping

from faust.types import TP

from signalflow.clock import steady
from signalflow.domain.positions import Outputs, Position, further
from signalflow.streams.written import Written

# Twice the time until files are on disk.
FLUSHED_SECONDS = 60.0
# How finely offsets are noted: reading again goes back by so much more at most.
STEP_SECONDS = 30.0


class OutputLogs:
    """How far the outputs of source partitions were confirmed.

    `topics`: by source topic, those that its agent writes to partitions of the same number. `check_seconds`: how often
    the logs are compared.
    """

    def __init__(self, written: Written, topics: Mapping[str, Collection[str]], check_seconds: float = 60.0) -> None:
        self._written, self._topics = written, topics
        self._again_seconds = FLUSHED_SECONDS + 2 * check_seconds
        # By source partition: offsets that were committed, each with the time of `steady`, oldest first.
        self._committed: dict[TP, deque[tuple[float, int]]] = {}

    def begin(self, tp: TP, offset: int, outputs: Outputs | None = None) -> None:
        """A source partition is read from this offset.

        `outputs`: what its commit tells of them. None where the commit tells nothing, where there is no commit, and
        where the partition is rewound.
        """
        before = self._committed.get(tp, ())
        if outputs is not None:
            again_from = outputs.again_from
            for topic, end in outputs.ends.items():
                self._written.know(topic, tp.partition, end)
        else:
            # The brokers may have lost the commit as well.
            again_from = before[0][1] if before else offset
        again_from = min(again_from, offset)
        # What this worker committed stays true when others had the partition meanwhile.
        ours = [(at, upto) for at, upto in before if again_from < upto <= offset]
        self._committed[tp] = deque([(-math.inf, again_from), *ours, (steady(), offset)])

    def note_commit(self, tp: TP, offset: int) -> None:
        """An offset was committed."""
        committed, now = self._committed.get(tp), steady()
        if not committed or now - committed[-1][0] < STEP_SECONDS:
            return
        committed.append((now, offset))
        while now - committed[1][0] >= self._again_seconds:
            committed.popleft()

    def again_from(self, tp: TP) -> int:
        """The offset from which to read a partition again when outputs are lost."""
        return self._committed[tp][0][1]

    def of(self, tp: TP) -> Outputs | None:
        """What a commit tells of the outputs of a partition; None before it is read."""
        if tp not in self._committed:
            return None
        return Outputs(self.again_from(tp), {each.topic: end for each, end in self.ends([tp]).items()})

    def ends(self, partitions: Collection[TP], told: Mapping[TP, Outputs | None] | None = None) -> dict[TP, Position]:
        """By partition that is written from these ones, the position after the last record that was confirmed.

        `told`: what commits tell from which reading is about to begin.
        """
        ends: dict[TP, Position] = {}
        for tp in partitions:
            outputs = (told or {}).get(tp)
            for topic in self._topics.get(tp.topic, ()):
                output = TP(topic, tp.partition)
                of_commit = None if outputs is None else outputs.ends.get(topic)
                for end in filter(None, (self._written.end(*output), of_commit)):
                    ends[output] = further(ends.get(output), end)
        return ends

    def is_overwritten(self, output: TP) -> bool:
        """Whether confirmed records of a partition were replaced by new ones."""
        return self._written.is_overwritten(*output)

    def may_commit(self, tp: TP) -> bool:
        """Whether no output of a source partition is known to be lost. Its last commit is the only evidence of that."""
        return not any(self._written.is_overwritten(topic, tp.partition) for topic in self._topics.get(tp.topic, ()))

    def sources(self, output: TP, partitions: Collection[TP]) -> list[TP]:
        """Those of these source partitions from which a partition is written."""
        return [
            tp
            for tp in partitions
            if tp.partition == output.partition and output.topic in self._topics.get(tp.topic, ())
        ]

    def forget(self, output: TP) -> None:
        """Look for nothing that was written to a partition before. The caller has it written again."""
        self._written.forget(*output)
