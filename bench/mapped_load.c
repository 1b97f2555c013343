/* bench/mapped_load.c - loads a prepared model as the server does, without a server, and runs it.
 *
 *   mapped_load --model FILE.onnx --store DIR --warm TINY.onnx [--free-size 1] [--runs 5]
 *
 * The store's key, its lease and the looks at every blob are part of the load, as they are in the
 * server.  A model that is not in the store is prepared first, and then nothing is measured: prints
 * {"prepared_ms":..}.  Otherwise
 * {"load_ms":..,"first_ms":..,"run_ms":..,"private_bytes":..,"mapped_bytes":..,"wake_ms":..,
 * "next_ms":..}: the last two are of the wake from hibernation and the run after it. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench_common.h"
#include "life/mapping.h"
#include "memory/account.h"
#include "store/maker.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define IO_MAX 16
#define ARENA_BYTES 65536u

struct place { /* what a process has once */
    struct trp_backends *backends;
    struct trp_backend *backend;
    struct trp_store *store;
    struct trp_blob_uses *uses;
    struct trp_account account;
};

struct opened {
    struct troupe_model_desc desc;
    struct trp_arena arena;
    struct trp_mapping mapping;
    struct trp_backend_model *model;
    struct trp_signature signature;
    struct troupe_tensor inputs[IO_MAX];
};

static void must(trp_status st, const struct trp_error *err)
{
    if (trp_failed(st))
        bench_die("%s", err->text);
}

static void begin(struct place *p, const char *store)
{
    const char *library = getenv("TROUPE_ONNXRUNTIME");
    const struct troupe_option option = { "onnxruntime.library", library };
    const struct trp_backends_opts opts = { .path = TRP_PLUGINS,
                                            .clock = trp_clock_system(),
                                            .options = &option,
                                            .options_n = library ? 1 : 0 };
    const struct trp_store_opts store_opts = { .path = store };
    struct trp_error err;
    trp_account_init(&p->account, TRP_ACCOUNT_WEIGHTS, NULL, 0);
    must(trp_backends_create(trp_heap(), &opts, &p->backends, &err), &err);
    must(trp_backends_get(p->backends, TRP_STR_LIT("onnxruntime"), &p->backend, &err), &err);
    must(trp_store_open(trp_heap(), &store_opts, &p->store, &err), &err);
    must(trp_blob_uses_create(trp_heap(), &p->account, &p->uses, &err), &err);
}

static void end(struct place *p)
{
    trp_blob_uses_destroy(p->uses);
    trp_store_close(p->store);
    trp_backends_destroy(p->backends);
    trp_account_deinit(&p->account);
}

static void open_model(struct place *p, const char *path, struct opened *o)
{
    struct trp_error err;
    o->desc = (struct troupe_model_desc){ .struct_size = sizeof o->desc,
                                          .name = path,
                                          .path = path,
                                          .thread_mode = TROUPE_THREADS_ONE,
                                          .account = &p->account.plugin };
    const struct trp_mapping_opts opts = { .store = p->store,
                                           .uses = p->uses,
                                           .backend = p->backend,
                                           .desc = &o->desc,
                                           .is_worth_it = true };
    trp_arena_init(&o->arena, trp_heap(), ARENA_BYTES, 0);
    must(trp_mapping_open(&opts, &o->arena, &o->mapping, &o->model, &o->signature, &err), &err);
}

static void close_model(struct place *p, struct opened *o)
{
    for (uint32_t i = 0; i < o->signature.inputs_n && i < IO_MAX; i++)
        free(o->inputs[i].data);
    trp_backend_close(o->model);
    trp_mapping_release(p->store, &o->mapping);
    trp_arena_deinit(&o->arena);
}

/* Zeros: a free batch is 1, other free sizes are `free_size`. */
static void make_inputs(struct opened *o, int64_t free_size)
{
    if (o->signature.inputs_n > IO_MAX || o->signature.outputs_n > IO_MAX)
        bench_die("%s: more than %d inputs or outputs", o->desc.path, IO_MAX);
    for (uint32_t i = 0; i < o->signature.inputs_n; i++) {
        const struct trp_io *io = &o->signature.inputs[i];
        struct troupe_tensor *t = &o->inputs[i];
        uint64_t elements;
        t->dtype = io->dtype;
        t->rank = io->rank;
        for (uint32_t d = 0; d < io->rank; d++)
            t->shape[d] = io->dims[d] >= 0 ? io->dims[d] : d == 0 ? 1 : free_size;
        if (!trp_shape_elements(t->shape, t->rank, &elements))
            bench_die("%s: an input is too large", o->desc.path);
        t->bytes = elements * trp_dtype_bytes(t->dtype);
        t->data = bench_alloc(t->bytes);
    }
}

static void run(struct place *p, struct opened *o)
{
    static const uint32_t places[IO_MAX] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    struct troupe_tensor outputs[IO_MAX] = { 0 };
    struct trp_error err;
    struct troupe_run once = { .struct_size = sizeof once,
                               .inputs_n = o->signature.inputs_n,
                               .outputs_n = o->signature.outputs_n,
                               .id = 1,
                               .account = &p->account.plugin,
                               .output_index = places };
    must(trp_backend_run(o->model, &once, o->inputs, outputs, &err), &err);
    for (uint32_t i = 0; i < once.outputs_n; i++)
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
}

static void prepare(struct place *p, struct opened *o)
{
    const struct trp_making making = { .store = p->store, .backend = p->backend, .desc = &o->desc };
    const int64_t begun_ns = bench_now_ns();
    struct trp_sha256 key;
    struct trp_error err;
    if (!o->mapping.should_prepare)
        bench_die("%s: %s", o->desc.path, o->mapping.note);
    must(trp_making_key(&making, &key, &err), &err);
    must(trp_making_run(&making, &key, &err), &err);
    printf("{\"prepared_ms\":%.3f}\n", (double)(bench_now_ns() - begun_ns) / 1e6);
}

struct wake {
    int64_t wake_ns, next_ns;
};

static struct wake sleep_and_wake(struct place *p, struct opened *o)
{
    struct trp_error err;
    struct wake w;
    must(trp_backend_hibernate(o->model, &err), &err);
    const int64_t begun_ns = bench_now_ns();
    must(trp_backend_wake(o->model, &err), &err);
    const int64_t awake_ns = bench_now_ns();
    run(p, o);
    w.wake_ns = awake_ns - begun_ns;
    w.next_ns = bench_now_ns() - awake_ns;
    return w;
}

static void measure(struct place *p, const char *model, int64_t free_size, uint64_t runs)
{
    struct opened o = { 0 };
    malloc_trim(0);
    const uint64_t before = bench_own_private_bytes();
    const int64_t begun_ns = bench_now_ns();
    open_model(p, model, &o);
    const int64_t loaded_ns = bench_now_ns();
    const uint64_t private_bytes = bench_own_private_bytes() - before;
    if (!o.mapping.is_mapped) {
        prepare(p, &o);
        close_model(p, &o);
        return;
    }
    make_inputs(&o, free_size);
    const int64_t first_ns = bench_now_ns();
    run(p, &o);
    const int64_t warm_ns = bench_now_ns();
    for (uint64_t i = 0; i < runs; i++)
        run(p, &o);
    const int64_t done_ns = bench_now_ns();
    const struct wake w = sleep_and_wake(p, &o);
    printf("{\"load_ms\":%.3f,\"first_ms\":%.3f,\"run_ms\":%.3f,\"private_bytes\":%llu,"
           "\"mapped_bytes\":%llu,\"wake_ms\":%.3f,\"next_ms\":%.3f}\n",
           (double)(loaded_ns - begun_ns) / 1e6, (double)(warm_ns - first_ns) / 1e6,
           runs ? (double)(done_ns - warm_ns) / 1e6 / (double)runs : 0,
           (unsigned long long)private_bytes, (unsigned long long)o.mapping.mapped_bytes,
           (double)w.wake_ns / 1e6, (double)w.next_ns / 1e6);
    close_model(p, &o);
}

int main(int argc, char **argv)
{
    struct place p = { 0 };
    struct opened tiny = { 0 };
    begin(&p, bench_text(argc, argv, "store", NULL));
    open_model(&p, bench_text(argc, argv, "warm", NULL), &tiny);
    make_inputs(&tiny, 1);
    run(&p, &tiny);
    measure(&p, bench_text(argc, argv, "model", NULL),
            (int64_t)bench_number(argc, argv, "free-size", "1"),
            bench_number(argc, argv, "runs", "5"));
    close_model(&p, &tiny);
    end(&p);
    return 0;
}
