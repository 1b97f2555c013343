"""bench/list_rows.py - what it costs to ask whether a key is in a list that rules name."""
from bench_harness import Row


def list_10m_lookup(bench):
    """One look-up among ten million keys; the floor reads two places of as much memory, one after the other."""
    cost = bench.run_floor("list_cost")
    what = (f"key in a list of 10 million (a list of 1,000: {cost['small_ns']:.0f} ns; read in {cost['load_s']:.1f} s, {cost['bytes_per_key']:.0f} bytes "
            f"a key; {cost['allocated']} bytes allocated) / two reads of as much memory")
    return Row("list_10m_lookup", what, f"{cost['large_ns']:.0f} ns", f"{cost['floor_ns']:.0f} ns", f"{cost['ratio']:.2f}", "<= 1.50; 0 bytes",
               cost["ratio"] <= 1.5 and cost["allocated"] == 0)


LIST_ROWS = {"list_10m_lookup": list_10m_lookup}
