/* base/half.h - 16-bit floating-point numbers.
 * Answers "what does this half mean?". */
#ifndef TRP_HALF_H
#define TRP_HALF_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Half-precision and back; conversion rounds to nearest even, overflow becomes infinity.
 *   Owns  : nothing.
 *   Thread: any.
 *   Errors: none.
 *   Source: IEEE 754-2019 binary16; bfloat16 is the upper half of binary32. */
uint16_t trp_fp16_of(float v);
float trp_fp16_to(uint16_t v);
uint16_t trp_bf16_of(float v);
float trp_bf16_to(uint16_t v);

#ifdef __cplusplus
}
#endif

#endif
