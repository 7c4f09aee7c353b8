"""Lines of words on one topic, which a service counts into another."""

import collections


class Words:
    """`lines` and `counts` are the topics, the latter compacted and with the last count of each word as its value; `written` are the words so far."""

    def __init__(self, stage, serde=""):
        self.stage, self.serde = stage, serde.split()
        self.lines, self.counts = f"{stage.prefix}-lines", f"{stage.prefix}-counts"
        self.written, self.line = collections.Counter(), 0
        stage.create(self.lines)
        stage.create(self.counts, config={"cleanup.policy": "compact", "min.cleanable.dirty.ratio": 0.1})

    def write(self, count):
        lines = [" ".join(f"w{(i * k) % 97 * 11 ** (k % 3)}" for k in range(1, 6)) for i in range(self.line, self.line + count)]
        self.written.update(word for line in lines for word in line.split())
        self.stage.kcat("-P", "-t", self.lines, "-K:", given="".join(f"{self.line + i}:{line}\n" for i, line in enumerate(lines)))
        self.line += count

    def found(self):
        records = self.stage.kcat("-C", "-t", self.counts, "-e", "-q", "-o", "beginning", *self.serde, "-f", "%k %s\n").splitlines()
        return {word: int(count) for word, _, count in (record.partition(" ") for record in records)}

    def right(self, step, wanted=None):
        """That the counts become those of the words written, or `wanted`."""
        wanted = dict(wanted or self.written)
        right = self.stage.eventually(lambda: self.found() == wanted, 120)
        self.stage.check(step, None if right else differences(self.found(), wanted))


def differences(found, wanted):
    wrong = {word: (found.get(word), wanted.get(word)) for word in sorted(found.keys() | wanted.keys()) if found.get(word) != wanted.get(word)}
    return f"{len(wrong)} of {len(wanted)} counts are wrong, such as (found, wanted) {dict(list(wrong.items())[:3])}"
