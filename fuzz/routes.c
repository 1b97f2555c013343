/* fuzz/routes.c - any text as routes.yaml: routes and compositions are read, and checked against
 * the models that there are.  Whatever is refused is refused with words. */
#include "compose/cookbook.h"
#include "route/route_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct trp_io x = {
    .name = { "x", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 3 }
};
static const struct trp_io y = {
    .name = { "y", 1 }, .dtype = TROUPE_FP32, .rank = 2, .dims = { -1, 3 }
};
static const struct trp_signature signature = {
    .inputs = &x, .outputs = &y, .inputs_n = 1, .outputs_n = 1, .batch_max = 8
};

/* There are models of one letter. */
static bool known(void *user, struct trp_str name, int64_t version)
{
    (void)user;
    (void)version;
    return name.len == 1;
}

static const struct trp_signature *signature_of(void *user, struct trp_str name, int64_t version)
{
    return known(user, name, version) ? &signature : NULL;
}

static trp_status section(void *user, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err)
{
    return trp_cookbook_read_section(user, at, file, err);
}

static trp_status read_all(struct trp_cookbook *book, const struct trp_route_env *env,
                           struct trp_str text, struct trp_route_file **out_file,
                           struct trp_error *err)
{
    const struct trp_route_file_opts opts = { .path = "routes.yaml",
                                              .text = text,
                                              .env = env,
                                              .folder = ".",
                                              .section = section,
                                              .section_user = book };
    const struct trp_route_check check = { .known = known, .signature = signature_of };
    TRP_CHECK(trp_route_file_read(trp_heap(), &opts, out_file, err));
    TRP_CHECK(trp_route_file_check(*out_file, &check, err));
    return trp_cookbook_check(book, &check, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct trp_route_env env = { .clock = trp_clock_system(), .loops_n = 1 };
    const struct trp_cookbook_opts opts = {
        .alloc = trp_heap(), .env = { .requests = trp_heap(), .clock = trp_clock_system() }
    };
    struct trp_route_file *file = NULL;
    struct trp_error err = { 0 };
    struct trp_cookbook *book;
    if (trp_failed(trp_cookbook_create(&opts, &book, &err)))
        return 0;
    const trp_status st = read_all(book, &env, trp_str_make((const char *)data, size), &file, &err);
    TRP_ASSERT(!trp_failed(st) || err.text[0]);
    trp_route_file_unref(file);
    trp_cookbook_destroy(book);
    return 0;
}
