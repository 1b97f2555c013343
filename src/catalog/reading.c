/* catalog/reading.c - from texts to routes and compositions. */
#include "catalog/routing_parts.h"

void trp_reading_drop(struct trp_routing *r)
{
    trp_route_file_unref(r->next);
    trp_cookbook_destroy(r->next_book);
    r->next = NULL;
    r->next_book = NULL;
}

static trp_status section(void *user, const struct trp_node *at, struct trp_route_file *file,
                          struct trp_error *err)
{
    struct trp_routing *r = user;
    return trp_cookbook_read_section(r->next_book, at, file, err);
}

/* A folder that is wrong is left out, and the others go on. */
static trp_status refused(void *user, struct trp_str name, const struct trp_error *why,
                          struct trp_error *err)
{
    struct trp_routing *r = user;
    struct trp_declared_folder *f = trp_declared_find(&r->declared, name);
    struct trp_error pointed = *why;
    trp_declared_point(&r->declared, r->opts.path, &pointed);
    if (f)
        return trp_declared_leave_out(&r->declared, f, &pointed, err);
    *err = *why;
    return why->status;
}

/* What goes on in place of folders that are left out is part of the new reading: others ask it, its
 * canaries, the load that it asks for and the versions that it needs are looked after. */
static trp_status adopt(struct trp_routing *r, struct trp_error *err)
{
    for (uint32_t i = 0; i < r->declared.folders_n; i++) {
        const struct trp_declared_folder *f = &r->declared.folders[i];
        struct trp_target *old = f->why.len ? trp_uptake_kept(r, f) : NULL;
        const struct trp_known_names names = trp_routing_names(r);
        if (!old || trp_known_names_is_made(&names, f->name))
            continue;
        struct trp_router *route = trp_route_of(old);
        if (route)
            TRP_CHECK(trp_route_file_adopt(r->next, route, err));
        else
            TRP_CHECK(trp_cookbook_adopt(r->next_book, old, err));
    }
    return trp_ok();
}

static struct trp_route_file_opts file_opts(struct trp_routing *r)
{
    const bool has_file = !trp_failed(r->declared.file_why.status);
    return (struct trp_route_file_opts){ .path = r->opts.path,
                                         .text = has_file ? r->declared.text : trp_str_make("", 0),
                                         .env = r->opts.env,
                                         .lists = r->opts.lists ? &r->reading : NULL,
                                         .folder = r->opts.folder,
                                         .section = section,
                                         .refused = refused,
                                         .section_user = r };
}

static void lists_are_here(struct trp_mail *mail)
{
    struct trp_routing *r = TRP_CONTAINER_OF(mail, struct trp_routing, reading_mail);
    if (!r->is_stopped)
        trp_routing_read(r);
}

/* On the thread of the lists. */
static void lists_are_open(struct trp_key_reading *reading)
{
    struct trp_routing *r = TRP_CONTAINER_OF(reading, struct trp_routing, reading);
    trp_loop_post(r->opts.control, &r->reading_mail);
}

/* Whatever serves goes on meanwhile, and so does the control thread. */
trp_status trp_reading_open_lists(struct trp_routing *r, struct trp_error *err)
{
    const struct trp_route_file_opts file = file_opts(r);
    const char *const *paths = NULL;
    uint32_t n = 0;
    if (r->opts.lists)
        TRP_CHECK(trp_route_file_list_paths(&file, &r->arena, &paths, &n, err));
    if (n == 0) {
        trp_routing_read(r);
        return trp_ok();
    }
    r->reading = (struct trp_key_reading){ .paths = paths, .done = lists_are_open };
    r->reading.lists = trp_arena_zeroed(&r->arena, n, sizeof(struct trp_key_list *));
    r->reading.errors = trp_arena_zeroed(&r->arena, n, sizeof *r->reading.errors);
    if (!r->reading.lists || !r->reading.errors)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes: %u lists", n);
    r->reading.paths_n = n;
    r->reading_mail.deliver = lists_are_here;
    trp_key_lists_read(r->opts.lists, &r->reading);
    return trp_ok();
}

static trp_status read_once(struct trp_routing *r, struct trp_error *err)
{
    const struct trp_declared *d = &r->declared;
    struct trp_route_folder *folders =
        trp_arena_zeroed(&r->arena, d->folders_n + (size_t)1, sizeof *folders);
    struct trp_route_file_opts file = file_opts(r);
    file.folders = folders;
    if (!folders)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "routes");
    for (uint32_t i = 0; i < d->folders_n; i++)
        if (d->folders[i].why.len == 0 && strcmp(d->folders[i].kind, "route") == 0)
            folders[file.folders_n++] =
                (struct trp_route_folder){ d->folders[i].name, d->folders[i].tree,
                                           d->folders[i].text };
    TRP_CHECK(trp_cookbook_create(r->opts.cookbook, &r->next_book, err));
    TRP_CHECK(trp_route_file_read(r->alloc, &file, &r->next, err));
    for (uint32_t i = 0; i < d->folders_n; i++) {
        const struct trp_declared_folder *f = &d->folders[i];
        struct trp_error why = { 0 };
        if (f->why.len > 0 || strcmp(f->kind, "route") == 0)
            continue;
        const struct trp_cookbook_folder folder = { f->name, f->tree, f->text, f->labels };
        if (trp_failed(trp_cookbook_read_folder(r->next_book, &folder, r->next, &why)))
            TRP_CHECK(refused(r, f->name, &why, err));
    }
    return adopt(r, err);
}

bool trp_reading_leave_file_out(struct trp_routing *r, struct trp_error *err)
{
    struct trp_declared *d = &r->declared;
    if (r->has_file || d->text.len == 0 || trp_failed(d->file_why.status) ||
        err->status.code == TRP_OUT_OF_MEMORY)
        return false;
    d->file_why = *err;
    *err = (struct trp_error){ 0 };
    for (uint32_t i = 0; i < d->folders_n; i++) /* that gave way to it, or asked it in vain */
        d->folders[i].why = (struct trp_str){ NULL, 0 };
    return true;
}

trp_status trp_reading_read(struct trp_routing *r, struct trp_error *err)
{
    trp_status st;
    do {
        trp_reading_drop(r);
        st = read_once(r, err);
        trp_declared_point(&r->declared, r->opts.path, err);
    } while (trp_failed(st) && trp_reading_leave_file_out(r, err));
    return st;
}
