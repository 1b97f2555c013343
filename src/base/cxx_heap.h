/* base/cxx_heap.h - what C++ libraries take of the heap, by thread.
 * Answers "how much does a library hold that takes memory in nobody's name?".  ONNX Runtime lets us
 * give it an allocator for tensors; the graph of a session, and all else that it is made of, it
 * takes by `operator new`: half a megabyte for each small model.  C++ lets a program replace
 * that operator, for all its libraries (the standard calls these functions replaceable). */
#ifndef TRP_CXX_HEAP_H
#define TRP_CXX_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* What this thread has taken by `operator new` since it began, less what it has given back; of two
 * looks the difference tells what stayed of all that was done between them.
 *   Units : bytes, as the heap counts them; below 0 when it gives back what others took.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : some nanoseconds for each allocation.
 *   Errors: none; 0 always in builds for a sanitizer, whose own operators stay.
 *   Source: C++17, [replacement.functions]. */
int64_t trp_cxx_heap_bytes(void);

/* Who pays for what a thread takes meanwhile.  Set `count` and `user`: it is told of each change of
 * some size, on the thread itself and from within an allocation, so it must not allocate; false:
 * it does not pay for more, and is only told what goes. */
struct trp_cxx_payer {
    bool (*count)(void *user, int64_t change);
    void *user;
    int64_t begun, told; /* bytes: when it began; paid since */
    bool is_refused;
};

/* Begins; ends, and returns what is paid for and stays so: the caller sees to it.  One at a time in
 * each thread.
 *   Units : bytes.
 *   Owns  : borrowed until the end.
 *   Thread: any, the same for both.
 *   Errors: none; 0 always in builds for a sanitizer. */
void trp_cxx_heap_begin(struct trp_cxx_payer *payer);
int64_t trp_cxx_heap_end(struct trp_cxx_payer *payer);

#endif
