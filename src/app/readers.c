/* app/readers.c - see readers.h. */
#include "app/readers.h"

#include <stdio.h>

trp_status trp_readers_init(struct trp_readers *r, const struct trp_alloc *alloc, uint32_t n,
                            const struct trp_loop_opts *loop_opts,
                            const struct trp_snapshot *initial, struct trp_error *err)
{
    *r = (struct trp_readers){ .alloc = alloc };
    r->items = trp_alloc_zeroed(alloc, n, sizeof *r->items);
    if (!r->items)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "%u loops", n);
    for (; r->n < n; r->n++) {
        struct trp_reader *reader = &r->items[r->n];
        reader->index = r->n;
        reader->snapshot = initial;
        reader->owner = r;
        reader->deliveries[0].reader = reader->deliveries[1].reader = reader;
        TRP_TRY(trp_loop_create(alloc, loop_opts, &reader->loop, err), err, "loop %u", r->n);
    }
    return trp_ok();
}

static void run_loop(void *user)
{
    struct trp_reader *reader = user;
    struct trp_error err = { 0 };
    if (trp_failed(trp_loop_run(reader->loop, &err)))
        fprintf(stderr, "troupe: loop %u ended: %s\n", reader->index, err.text);
}

trp_status trp_readers_start(struct trp_readers *r, struct trp_error *err)
{
    for (uint32_t i = 0; i < r->n; i++) {
        char name[16];
        snprintf(name, sizeof name, "loop-%u", i);
        TRP_CHECK(trp_thread_start(&r->items[i].thread, name, run_loop, &r->items[i], err));
    }
    return trp_ok();
}

void trp_readers_stop(struct trp_readers *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        trp_loop_stop(r->items[i].loop);
    for (uint32_t i = 0; i < r->n; i++)
        trp_thread_join(&r->items[i].thread);
    r->closing = true;
    for (uint32_t i = 0; i < r->n; i++)
        (void)trp_loop_turn(r->items[i].loop, 0,
                            NULL); /* calls that came back after the last turn */
}

void trp_readers_deinit(struct trp_readers *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        trp_loop_destroy(r->items[i].loop);
    trp_alloc_free(r->alloc, r->items);
    *r = (struct trp_readers){ .items = NULL };
}

static void send(struct trp_delivery *d);

/* Back on the control thread. */
static void come_back(struct trp_mail *mail)
{
    struct trp_delivery *d = TRP_CONTAINER_OF(mail, struct trp_delivery, mail);
    struct trp_reader *reader = d->reader;
    struct trp_readers *owner = reader->owner;
    const uint64_t epoch = d->epoch; /* the loop's again once the mail is sent */
    d->is_away = false;
    if (owner->closing)
        return;
    if (reader->is_behind)
        send(d);
    owner->seen(owner->user, reader->index, epoch);
}

/* On the loop's thread. */
static void arrive(struct trp_mail *mail)
{
    struct trp_delivery *d = TRP_CONTAINER_OF(mail, struct trp_delivery, mail);
    struct trp_reader *reader = d->reader;
    reader->snapshot = trp_pointer_get(&reader->newest);
    d->epoch = trp_snapshot_epoch(reader->snapshot);
    mail->deliver = come_back;
    if (!reader->owner->closing)
        trp_loop_post(reader->owner->control, mail);
}

static void send(struct trp_delivery *d)
{
    d->reader->is_behind = false;
    d->is_away = true;
    d->mail.deliver = arrive;
    trp_loop_post(d->reader->loop, &d->mail);
}

void trp_readers_publish(struct trp_readers *r, const struct trp_snapshot *snapshot)
{
    for (uint32_t i = 0; i < r->n; i++) {
        struct trp_reader *reader = &r->items[i];
        struct trp_delivery *d = reader->deliveries;
        trp_pointer_put(&reader->newest, snapshot);
        reader->is_behind = true;
        if (d->is_away)
            d++;
        if (!d->is_away)
            send(d);
    }
}
