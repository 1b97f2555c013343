/* fuzz/image.c - any bytes as a picture: it has the size that its header said, or a reason is
 * given; also by way of the step that decodes. */
#include <stdlib.h>

#include "base/alloc.h"
#include "compose/image_decode.h"
#include "compose/tensor_ops.h"

#define PIXELS_MAX 65536u

static void fuzz_decode(struct trp_str file, bool is_upright)
{
    static const uint32_t channels[] = { 1, 3, 4 };
    struct trp_image_info info;
    struct trp_error err = { 0 };
    const trp_status st = trp_image_info(trp_heap(), file, is_upright, PIXELS_MAX, &info, &err);
    TRP_ASSERT(st.code == err.status.code);
    if (trp_failed(st))
        return;
    const uint64_t pixels = (uint64_t)info.width * info.height;
    TRP_ASSERT(pixels > 0 && pixels <= PIXELS_MAX && info.orientation >= 1 &&
               info.orientation <= 8);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t *out =
            malloc(pixels * channels[i]); /* exact, so that a sanitizer sees an overrun */
        TRP_ASSERT(out);
        err = (struct trp_error){ 0 };
        const trp_status decoded =
            trp_image_decode(trp_heap(), file, &info, channels[i], out, &err);
        TRP_ASSERT(decoded.code == err.status.code);
        free(out);
    }
}

static void fuzz_step(void *data, size_t size)
{
    const struct trp_tensor_op op = {
        .kind = TRP_TENSOR_OP_DECODE, .height = 7, .width = 5, .method = TRP_RESIZE_AREA
    };
    const struct trp_tensor_op_limits limits = { .alloc = trp_heap(),
                                                 .pixels_max = PIXELS_MAX,
                                                 .output_bytes = 1u << 20 };
    const struct troupe_tensor in = {
        .dtype = TROUPE_BYTES, .rank = 1, .shape = { 2 }, .data = data, .bytes = size
    };
    struct troupe_tensor out;
    struct trp_tensor_op_scratch scratch;
    if (trp_failed(trp_tensor_op_plan(&op, &limits, &in, 1, &out, &scratch, NULL)))
        return;
    out.data = malloc(out.bytes);
    scratch.ptr = malloc(scratch.bytes);
    TRP_ASSERT(out.data && scratch.ptr);
    (void)trp_tensor_op_run(&op, &limits, &in, 1, &out, &scratch, NULL).code;
    free(out.data);
    free(scratch.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trp_str file = trp_str_make((const char *)data, size);
    const uint32_t length = (uint32_t)size;
    fuzz_decode(file, false);
    fuzz_decode(file, true);
    /* the file twice, as a tensor of strings */
    char *twice = malloc(2 * (size + sizeof length));
    TRP_ASSERT(twice);
    for (size_t i = 0; i < 2; i++) {
        char *at = twice + i * (size + sizeof length);
        memcpy(at, &length, sizeof length);
        memcpy(at + sizeof length, data, size);
    }
    fuzz_step(twice, 2 * (size + sizeof length));
    free(twice);
    return 0;
}
