/* backend/worker_main.h - a worker process: one model, run for a server that is another process.
 * Answers "what does `troupe worker` do?". */
#ifndef TRP_WORKER_MAIN_H
#define TRP_WORKER_MAIN_H

/* Opens the model that it is told to on this descriptor (TRP_WORKER_FD, of trp_child_start()), and
 * runs it until the talk is over.
 *   Owns  : the descriptor is the callee's.
 *   Thread: startup.
 *   Blocks: until the server closes the model, or has gone.
 *   Errors: what the process should end with: 0, or 1 when it was started by nobody. */
int trp_worker_main_run(int control);

#endif
