"""bench/route_policy_rows.py - the rows on what a route decides without asking anybody: how well a sticky split keeps its shares."""
from bench_harness import Row


def sticky_split(bench):
    """A million keys: shares, who moves when a canary grows from 5 to 10 % behind one, two and three others, and the cost of one."""
    seen = bench.run_floor("sticky_split")
    keys = f"{seen['keys']:,} keys"
    moved_off = abs(seen["moved"] - 5)
    return [Row("sticky_shares", f"sticky split, {keys}: worst distance of a share from its weight", f"{seen['off']:.3f} %", "", "", "<= 0.2 %", seen["off"] <= 0.2),
            Row("sticky_moved", f"the same, a canary from 5 to 10 %: keys that move (between others: {seen['between_others']:.3f} %)", f"{seen['moved']:.3f} %", "5 %", "",
                "5 % +- 0.2", moved_off <= 0.2 and seen["between_others"] == 0),
            Row("sticky_cost", f"the same, placing a key and picking among 2 (among 64: {seen['many_ns']:.0f} ns)", f"{seen['few_ns']:.0f} ns", "", "", "<= 50 ns", seen["few_ns"] <= 50)]


ROUTE_POLICY_ROWS = {"sticky_split": sticky_split}
