/* life/sizing.c - see sizing.h.
 *
 * The shares of thousandths below were measured with ONNX Runtime 1.32 on a convolution net of 98
 * MB and an encoder of 438 MB: plainly opened, they hold 101 and 423 MB of their own, and 266 and
 * 585 MB while they are opened; mapped, 2 and 3 MB, with skeletons of 130 and 40 KB.  A first
 * load errs to the safe side; every load after it knows better. */
#include "life/sizing.h"

#include "base/file.h"
#include "store/artefact.h"
#include "store/maker.h"

#define SESSION_BYTES ((uint64_t)128 << 10) /* of any open model */
#define PLAIN_OWN 1050u                     /* thousandths of its weights */
#define PLAIN_LOADING 1700u                 /* besides, while it is opened */
#define MAPPED_BYTES ((uint64_t)1 << 20)
#define MAPPED_OWN 16000u /* thousandths of the skeleton */
#define PLAIN_MAPPINGS 32u
#define MAPPED_MAPPINGS 8u /* besides one for each blob */
#define LOADING_DESCRIPTORS 8u

static uint64_t thousandths(uint64_t of, uint64_t n)
{
    return of / 1000 * n + of % 1000 * n / 1000;
}

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory to load the model");
}

static uint64_t measured_bytes(const struct trp_sizing *s, bool is_mapped)
{
    const struct trp_measured *m = s->measured ? trp_sizing_measured(s->measured, s->digest) : NULL;
    return m ? m->bytes[is_mapped] : 0;
}

static uint64_t or_else(uint64_t measured, uint64_t estimated)
{
    return measured ? measured : estimated;
}

/* ---- mapped ---- */

static bool find(const struct trp_sizing *s, struct trp_artefact *out)
{
    const struct trp_making making = { .store = s->store, .backend = s->backend, .desc = s->desc };
    struct trp_sha256 key;
    struct trp_error err;
    return s->store && trp_backend_can_prepare(s->backend) &&
           !trp_failed(trp_making_known(&making, &key, &err)) &&
           !trp_failed(trp_artefact_read(s->store, &key, out, &err));
}

static trp_status estimate_mapped(const struct trp_sizing *s, const struct trp_artefact *a,
                                  struct trp_arena *arena, struct trp_size *out,
                                  struct trp_error *err)
{
    struct trp_piece *pieces = trp_arena_zeroed(arena, a->blobs_n, sizeof *pieces);
    if (!pieces && a->blobs_n)
        return no_memory(err);
    for (uint32_t i = 0; i < a->blobs_n; i++) {
        const struct trp_str name = trp_arena_dup(arena, trp_str_of(a->blobs[i].name));
        if (!name.ptr)
            return no_memory(err);
        pieces[out->pieces_n++] = (struct trp_piece){ name.ptr, a->blobs[i].bytes };
    }
    const uint64_t guess = MAPPED_BYTES + thousandths(a->skeleton_bytes, MAPPED_OWN);
    out->pieces = pieces;
    out->own.of[TRP_RESOURCE_BYTES] = or_else(measured_bytes(s, true), guess);
    if (s->is_packed)
        out->own.of[TRP_RESOURCE_BYTES] += thousandths(a->blob_bytes, PLAIN_OWN);
    out->own.of[TRP_RESOURCE_MAPPINGS] = a->blobs_n + MAPPED_MAPPINGS;
    out->extra.of[TRP_RESOURCE_BYTES] = a->skeleton_bytes;
    return trp_ok();
}

/* ---- plain ---- */

static void estimate_plain(const struct trp_sizing *s, struct trp_size *out)
{
    struct trp_error err;
    struct trp_file_stat st;
    uint64_t guess = SESSION_BYTES, loading = 0;
    if (s->weights_bytes) {
        guess += thousandths(s->weights_bytes, PLAIN_OWN);
        loading = thousandths(s->weights_bytes, PLAIN_LOADING);
    } else if (s->bytes_max) {
        guess = s->bytes_max; /* its owner knows */
    } else if (!trp_failed(trp_file_stat(s->desc->path, &st, &err))) {
        guess += st.bytes;
    }
    out->own.of[TRP_RESOURCE_BYTES] = or_else(measured_bytes(s, false), guess);
    out->own.of[TRP_RESOURCE_MAPPINGS] = PLAIN_MAPPINGS;
    out->extra.of[TRP_RESOURCE_BYTES] = loading;
}

trp_status trp_sizing_estimate(const struct trp_sizing *s, struct trp_arena *arena,
                               struct trp_size *out, struct trp_error *err)
{
    struct trp_artefact artefact;
    trp_status st = trp_ok();
    *out = (struct trp_size){ .extra.of[TRP_RESOURCE_DESCRIPTORS] = LOADING_DESCRIPTORS };
    if (find(s, &artefact)) {
        st = estimate_mapped(s, &artefact, arena, out, err);
        trp_artefact_deinit(&artefact);
    } else {
        estimate_plain(s, out);
    }
    return st;
}

const struct trp_measured *trp_sizing_measured(const struct trp_measured all[TRP_MEASURED_MAX],
                                               uint64_t digest)
{
    for (uint32_t i = 0; i < TRP_MEASURED_MAX; i++)
        if (all[i].digest == digest)
            return &all[i];
    return NULL;
}

void trp_sizing_learn(struct trp_measured all[TRP_MEASURED_MAX], uint64_t digest, bool is_mapped,
                      uint64_t bytes, int64_t load_ns)
{
    uint32_t at = 0;
    while (at < TRP_MEASURED_MAX - 1 && all[at].digest != digest)
        at++;
    struct trp_measured m = all[at];
    if (m.digest != digest) /* in place of the one that was learned longest ago */
        m = (struct trp_measured){ .digest = digest };
    for (; at > 0; at--)
        all[at] = all[at - 1];
    m.bytes[is_mapped] = bytes;
    m.load_ns[is_mapped] = load_ns;
    all[0] = m;
}
