/* tune/sim_plot.h - a simulated day as a picture.
 * Answers "when did it become slow, and what was full then?".  An SVG without scripts or links, for
 * any viewer: latency of each class over time (p50, and p99 dashed, on a logarithmic scale),
 * what waited, and how busy executors were. */
#ifndef TRP_SIM_PLOT_H
#define TRP_SIM_PLOT_H

#include "tune/sim_report.h"

/* Appends the picture.
 *   Owns  : copied.
 *   Thread: owner.
 *   Cost  : O(n log n), memory for 8 bytes an arrival meanwhile.
 *   Errors: OUT_OF_MEMORY; see b->failed. */
trp_status trp_sim_plot_write(const struct trp_alloc *alloc,
                              const struct trp_sim_question *question,
                              const struct trp_sim_result *results, struct trp_buf *b,
                              struct trp_error *err);

#endif
