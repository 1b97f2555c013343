"""What a replayed day was worth: tables, and the promises that must hold."""
import judge
import numpy as np

SINGLES = ("popularity", "content_based", "collaborative", "two_tower/1", "two_tower/2")
NEAR = 0.01  # how far the route may be behind the best model of a segment
FALLBACKS = 0.02  # of the decisions that no night and no load changed: the share that another than the first choice may answer
FEW = 4  # as in routes.yaml
KINDS = ("chosen", "canary", "night", "busy", "fallback", "failed")


def rule_of(why):
    """The rule's name out of "route recommend, rule night, ..."."""
    return why.split("rule ", 1)[1].split(",")[0].split(" ")[0].strip(";:") if "rule " in why else ""


EXPECTED = {"new": "content_based", "few": "blend", "regular": "two_tower"}


def kind_of(answer, stable):
    """Of KINDS; `stable` is the version that answers in general at that moment."""
    if answer is None:
        return "failed"
    rule = rule_of(answer.why)
    if rule == "night":
        return "night"
    if rule.startswith("busy"):
        return "busy"
    if answer.model != EXPECTED.get(rule):
        return "fallback"
    return "canary" if rule == "regular" and answer.version != stable else "chosen"


class Report:
    def __init__(self, day, singles, answers, stable_of):
        """singles: {name: [decisions, 20]}; answers: of the route, None where it failed; stable_of: the stable version then."""
        self.day, self.answers, self.kept, self.broken = day, answers, [], []
        self.kinds = np.array([kind_of(a, s) for a, s in zip(answers, stable_of)])
        self.segment = judge.segment_of(day.purchases, FEW)
        self.place = {name: judge.place_of(items, day.item) for name, items in singles.items()}
        width = max([len(a.items) for a in answers if a is not None] or [10])
        mine = np.zeros((len(answers), width), np.int64)
        for row, answer in enumerate(answers):
            if answer is not None:
                mine[row, :len(answer.items)] = answer.items
        self.place["the route"] = judge.place_of(mine, day.item)
        self.rng = np.random.default_rng(0)

    def say(self, text=""):
        print(text, flush=True)

    def promise(self, holds, text):
        self.say(f"  {'kept  ' if holds else 'BROKEN'}  {text}")
        (self.kept if holds else self.broken).append(text)

    def table(self, mask, names):
        names = list(names)
        masks = [mask & (self.segment == k) for k in range(3)] + [mask]
        self.say(f"  {'HR@10 NDCG@10':22}" + "".join(f"{s:>18}" for s in (*judge.SEGMENTS, "all")))
        self.say(f"  {'decisions':22}" + "".join(f"{m.sum():>18,}" for m in masks))
        for name in names:
            cells = []
            for m in masks:
                place = self.place[name][m]
                cells.append(f"{judge.hits(place).mean():11.4f} {judge.ndcg(place).mean():.4f}" if m.any() else f"{'-':>18}")
            self.say(f"  {name:22}" + "".join(cells))

    def quality(self):
        chosen = self.kinds == "chosen"
        self.say("\nQuality, on the decisions that no load, no night and no canary changed:\n")
        self.table(chosen, (*SINGLES, "the route"))
        best = np.where(self.day.best < 10, self.day.best, 10)
        self.place["the truth's own order"] = best
        self.table_line("the truth's own order", chosen)
        self.say("\nThe route less each model in HR@10, the same decisions paired, with 95 % bootstrap intervals:\n")
        wins = []
        for name in SINGLES:
            mean, low, high = self.against(name, chosen)
            wins.append(mean > 0)
            self.say(f"  {name:22}{mean:+.4f}  [{low:+.4f}, {high:+.4f}]")
        self.say()
        self.promise(all(wins), "the route is better than every single model over all")
        for k, segment in enumerate(judge.SEGMENTS):
            mask = chosen & (self.segment == k)
            if not mask.any():
                self.promise(False, f"{segment}: there are decisions to compare")
                continue
            rates = {name: judge.hits(self.place[name][mask]).mean() for name in SINGLES}
            leader = max(rates, key=rates.get)
            mean, low, high = self.against(leader, mask)
            self.promise(mean >= -NEAR,
                         f"{segment}: within {NEAR} of its best model, {leader}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")

    def table_line(self, name, mask):
        masks = [mask & (self.segment == k) for k in range(3)] + [mask]
        cells = (f"{judge.hits(self.place[name][m]).mean():11.4f} {judge.ndcg(self.place[name][m]).mean():.4f}" if m.any()
                 else f"{'-':>18}" for m in masks)
        self.say(f"  {name:22}" + "".join(cells))

    def against(self, name, mask):
        return judge.paired_interval(judge.hits(self.place["the route"][mask]), judge.hits(self.place[name][mask]), self.rng)

    def apart(self):
        self.say("\nAnswers apart:\n")
        for kind in KINDS:
            mask = self.kinds == kind
            if mask.any():
                place = self.place["the route"][mask]
                by = {}
                for row in np.flatnonzero(mask):
                    answer = self.answers[row]
                    name = "nobody" if answer is None else answer.model
                    by[name] = by.get(name, 0) + 1
                who = ", ".join(f"{n} {c:,}" for n, c in sorted(by.items(), key=lambda x: -x[1]))
                quality = f"HR@10 {judge.hits(place).mean():.4f} NDCG@10 {judge.ndcg(place).mean():.4f}"
                self.say(f"  {kind:10}{mask.sum():7,}   {quality}   {who}")

    def fallbacks(self):
        """Quality leaves them out: without a bound a model that always comes too late would not be noticed."""
        meant = (self.kinds == "chosen") | (self.kinds == "canary") | (self.kinds == "fallback")
        for k, segment in enumerate(judge.SEGMENTS):
            mask = meant & (self.segment == k)
            fell = (self.kinds[mask] == "fallback").sum()
            self.promise(fell <= FALLBACKS * mask.sum(), f"{segment}: at most {100 * FALLBACKS:g} % were answered by a fallback: {fell:,} of {mask.sum():,}")

    def latency(self):
        self.say("\nLatency of the route as its client saw it, in ms:\n")
        for title, campaign in (("the quiet hours", False), ("the newsletter's hours", True)):
            took = [a.ms for a in self.answers if a is not None and a.campaign == campaign]
            if took:
                p50, p95, p99 = np.quantile(took, [0.5, 0.95, 0.99])
                self.say(f"  {title:24}{len(took):7,} answers   p50 {p50:.2f}   p95 {p95:.2f}   p99 {p99:.2f}")
