/* tests/conformance/harness.c - see harness.h. */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void find_onnxruntime(void)
{
    static const char fetched[] = TRP_SOURCE "/.deps/onnxruntime/libonnxruntime.so";
    const char *set = getenv("TROUPE_ONNXRUNTIME");
    if (set && *set)
        return;
    if (access(fetched, R_OK) != 0)
        fail_msg("ONNX Runtime is missing: run tools/setup, or set TROUPE_ONNXRUNTIME (looked for "
                 "%s)",
                 fetched);
    setenv("TROUPE_ONNXRUNTIME", fetched, 1);
}

static void set_up(struct harness *h, const char *backend, const char *worker_program)
{
    const char *api = getenv("TRP_TEST_ORT_API");
    const struct troupe_option options[] = { { "echo.devices", "2" }, { "onnxruntime.api", api } };
    const struct trp_backends_opts opts = { .clock = trp_clock_system(),
                                            .path = TRP_PLUGINS,
                                            .options = options,
                                            .options_n = api ? 2 : 1,
                                            .worker_program = worker_program };
    *h = (struct harness){ 0 };
    if (strcmp(backend, "onnxruntime") == 0)
        find_onnxruntime();
    scratch_folder(h->folder, "conformance");
    trp_account_init(&h->account, TRP_ACCOUNT_ACTIVATIONS, NULL, 0);
    assert_int_equal(trp_backends_create(trp_heap(), &opts, &h->backends, &h->err).code, TRP_OK);
    const trp_status st = trp_backends_get(h->backends, trp_str_of(backend), &h->backend, &h->err);
    if (trp_failed(st))
        fail_msg("%s", h->err.text);
}

void harness_set_up(struct harness *h, const char *backend)
{
    set_up(h, backend, NULL);
}

void harness_set_up_isolated(struct harness *h, const char *backend)
{
    set_up(h, backend, "/proc/self/exe");
    assert_int_equal(trp_backends_isolate(h->backends, h->backend, &h->backend, &h->err).code,
                     TRP_OK);
}

void harness_tear_down(struct harness *h)
{
    DIR *folder = opendir(h->folder);
    for (struct dirent *e; folder && (e = readdir(folder));)
        if (e->d_name[0] != '.')
            unlink(harness_path(h, e->d_name));
    if (folder)
        closedir(folder);
    rmdir(h->folder);
    harness_close_all(h);
    trp_backends_destroy(h->backends);
    trp_account_deinit(&h->account); /* every output was given back */
}

const char *harness_path(struct harness *h, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", h->folder, name);
    return path;
}

void harness_write(struct harness *h, const char *name, const char *text)
{
    FILE *f = fopen(harness_path(h, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static struct subject *free_subject(struct harness *h)
{
    for (struct subject *s = h->subjects; s < h->subjects + HARNESS_SUBJECTS; s++)
        if (!s->h)
            return s;
    fail_msg("more than %d models are open", HARNESS_SUBJECTS);
    return NULL;
}

trp_status subject_try_open(struct harness *h, const char *name, struct troupe_model_desc desc,
                            struct subject **out)
{
    struct subject *s = free_subject(h);
    *out = NULL;
    *s = (struct subject){ .h = h };
    for (uint32_t i = 0; i < HARNESS_IO_MAX; i++)
        s->wanted[i] = i;
    trp_arena_init(&s->arena, trp_heap(), 4096, 0);
    desc.name = name;
    desc.path = harness_path(h, name);
    desc.account = &h->account.plugin;
    const trp_status st =
        trp_backend_open(h->backend, &desc, &s->arena, &s->model, &s->signature, &h->err);
    if (trp_failed(st)) {
        print_message("%s: %s: %s\n", name, trp_code_name(st.code), h->err.text);
        subject_close(s);
        return st;
    }
    s->run = (struct troupe_run){ .inputs_n = s->signature.inputs_n,
                                  .outputs_n = s->signature.outputs_n,
                                  .id = 1,
                                  .account = &h->account.plugin,
                                  .output_index = s->wanted };
    *out = s;
    return st;
}

struct subject *subject_open(struct harness *h, const char *name)
{
    struct subject *s;
    if (trp_failed(subject_try_open(h, name, (struct troupe_model_desc){ 0 }, &s)))
        fail_msg("%s: %s", name, h->err.text);
    return s;
}

void subject_close(struct subject *s)
{
    subject_release(s);
    trp_backend_close(s->model);
    trp_arena_deinit(&s->arena);
    s->model = NULL;
    s->h = NULL;
}

void harness_close_all(struct harness *h)
{
    for (struct subject *s = h->subjects; s < h->subjects + HARNESS_SUBJECTS; s++)
        if (s->h)
            subject_close(s);
}

void subject_send(struct subject *s, uint32_t index, int32_t dtype, const void *data,
                  uint64_t bytes, uint32_t rank, const int64_t *shape)
{
    struct troupe_tensor *t = &s->in[index];
    *t = (struct troupe_tensor){
        .dtype = dtype, .rank = rank, .data = (void *)(uintptr_t)data, .bytes = bytes
    };
    memcpy(t->shape, shape, rank * sizeof *shape);
}

trp_status subject_run(struct subject *s)
{
    const trp_status st = trp_backend_run(s->model, &s->run, s->in, s->out, &s->h->err);
    if (trp_failed(st))
        print_message("run: %s: %s\n", trp_code_name(st.code), s->h->err.text);
    return st;
}

void subject_release(struct subject *s)
{
    for (uint32_t i = 0; i < HARNESS_IO_MAX; i++) {
        if (s->out[i].release)
            s->out[i].release(s->out[i].release_user, s->out[i].data);
        s->out[i] = (struct troupe_tensor){ 0 };
    }
}
