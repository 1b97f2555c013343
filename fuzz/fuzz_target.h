/* fuzz/fuzz_target.h - what libFuzzer calls; put in front of every target by the build.
 * Answers "where does a fuzz target begin?". */
#ifndef TRP_FUZZ_TARGET_H
#define TRP_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
