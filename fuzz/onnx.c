/* fuzz/onnx.c - any bytes are a model or an error, and the quick reading agrees with the whole
 * one. */
#include <stdint.h>
#include <string.h>

#include "onnx/onnx_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ios(const struct trp_onnx_io *a, uint32_t a_n, const struct trp_onnx_io *b,
                      uint32_t b_n)
{
    TRP_ASSERT(a_n == b_n && a_n <= TRP_IO_MAX);
    for (uint32_t i = 0; i < a_n; i++) {
        TRP_ASSERT(trp_str_is_equal(a[i].io.name, b[i].io.name));
        TRP_ASSERT(a[i].io.dtype == b[i].io.dtype && a[i].io.rank == b[i].io.rank);
        TRP_ASSERT(a[i].io.rank <= TROUPE_RANK_MAX);
    }
}

static void check_model(const struct trp_onnx_model *m)
{
    uint64_t elements = 0, bytes = 0;
    for (int i = 0; i < TRP_ONNX_PLACES; i++) {
        elements += m->places[i].elements;
        bytes += m->places[i].bytes;
    }
    TRP_ASSERT(elements == m->total.elements && bytes == m->total.bytes);
    TRP_ASSERT(m->hazards_n <= m->hazards_total);
    struct trp_buf report;
    trp_buf_init(&report, trp_heap(), 1u << 20);
    trp_onnx_report_text(m, TRP_STR_LIT("fuzz"), &report);
    trp_onnx_report_json(m, TRP_STR_LIT("fuzz"), &report);
    trp_buf_deinit(&report);
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < m->ops_n; i++)
        nodes += m->ops[i].count;
    TRP_ASSERT(nodes == m->nodes);
}

/* The bounds are small so that they are reached. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trp_onnx_opts opts = { .depth_max = 8, .nodes_max = 1000, .name_max = 64 };
    const struct trp_str file = trp_str_make((const char *)data, size);
    struct trp_onnx_model whole = { 0 }, face = { 0 };
    struct trp_error err = { 0 };
    struct trp_arena arena;
    trp_arena_init(&arena, trp_heap(), 4096, 64u << 20);
    const trp_status st = trp_onnx_read(file, &opts, &arena, &whole, &err);
    opts.signature_only = true;
    struct trp_error face_err = { 0 };
    const trp_status face_st = trp_onnx_read(file, &opts, &arena, &face, &face_err);
    if (trp_failed(st)) {
        TRP_ASSERT(err.text[0] != '\0');
    } else {
        TRP_ASSERT(!trp_failed(face_st));
        check_model(&whole);
        check_ios(whole.inputs, whole.inputs_n, face.inputs, face.inputs_n);
        check_ios(whole.outputs, whole.outputs_n, face.outputs, face.outputs_n);
        struct trp_signature s;
        if (trp_failed(trp_onnx_signature(&whole, &arena, &s, &err)))
            TRP_ASSERT(err.text[0] != '\0');
    }
    trp_arena_deinit(&arena);
    return 0;
}
