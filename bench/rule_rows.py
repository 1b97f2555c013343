"""bench/rule_rows.py - what a decision by rules costs; no server, no model: the evaluator alone."""
from bench_harness import Row


def decision(bench):
    """Ten and a hundred rules of the kinds that people write, of which only the last one holds."""
    cost = bench.run_floor("rule_decision")
    none = cost["allocations"] == 0
    return [Row(f"decision_{n}", f"a decision: {n} rules over metadata, parameters, load and time; {cost['allocations']} allocations", f"{cost[key]:.0f} ns", "-", "-",
                f"<= {limit} ns, no allocation", cost[key] <= limit and none)
            for n, key, limit in ((10, "ten_ns", 500), (100, "hundred_ns", 5000))]


RULE_ROWS = {"decision": decision}
