/* catalog/directories.c - see directories.h. */
#include "catalog/directories.h"

trp_status trp_directories_init(struct trp_directories *d, const struct trp_alloc *alloc,
                                struct trp_loop *const *loops, uint32_t n, struct trp_loop *control,
                                struct trp_error *err)
{
    *d = (struct trp_directories){ .alloc = alloc, .control = control };
    d->seats = trp_alloc_zeroed(alloc, (size_t)n + 1, sizeof *d->seats);
    if (!d->seats)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "names of routes for %u loops", n);
    d->n = n;
    for (uint32_t i = 0; i < n; i++) {
        d->seats[i].loop = loops[i];
        d->seats[i].owner = d;
    }
    return trp_ok();
}

void trp_directories_close(struct trp_directories *d)
{
    d->is_closing = true;
}

void trp_directories_deinit(struct trp_directories *d)
{
    for (uint32_t i = 0; i < d->n; i++) {
        trp_directory_unref(d->seats[i].held);
        trp_directory_unref(d->seats[i].travels);
    }
    trp_directory_unref(d->newest);
    trp_alloc_free(d->alloc, d->seats);
    *d = (struct trp_directories){ .n = 0 };
}

static void send(struct trp_directory_seat *s);

/* Back on the control thread, with the picture that the loop held before. */
static void come_back(struct trp_mail *mail)
{
    struct trp_directory_seat *s = TRP_CONTAINER_OF(mail, struct trp_directory_seat, mail);
    struct trp_directory *old = s->travels;
    s->travels = NULL;
    s->is_away = false;
    trp_directory_unref(old);
    if (s->is_behind && !s->owner->is_closing)
        send(s);
}

/* On the loop's thread. */
static void arrive(struct trp_mail *mail)
{
    struct trp_directory_seat *s = TRP_CONTAINER_OF(mail, struct trp_directory_seat, mail);
    struct trp_directory *old = s->held;
    s->held = s->travels;
    s->travels = old;
    mail->deliver = come_back;
    if (!s->owner->is_closing)
        trp_loop_post(s->owner->control, mail);
}

static void send(struct trp_directory_seat *s)
{
    struct trp_directories *d = s->owner;
    trp_directory_ref(d->newest);
    s->travels = d->newest;
    s->is_behind = false;
    s->is_away = true;
    s->mail.deliver = arrive;
    trp_loop_post(s->loop, &s->mail);
}

void trp_directories_publish(struct trp_directories *d, struct trp_directory *directory)
{
    trp_directory_ref(directory);
    trp_directory_unref(d->newest);
    d->newest = directory;
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->seats[i].is_away)
            d->seats[i].is_behind = true;
        else
            send(&d->seats[i]);
    }
}
