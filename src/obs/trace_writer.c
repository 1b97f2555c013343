/* obs/trace_writer.c - see trace_writer.h.
 *
 * Problem.  A disk may be slow, full, or gone; the thread that answers requests must not notice.
 *
 * Design.  One thread takes everything that lies in the box, makes the text, and writes the letters
 * of one file together.  A file is "[", objects with "," between, "]".  The next ones are written
 * over the bracket and bring a new one, in one pwrite(); after a failure the file is cut back to
 * what it was, so it is valid JSON whenever somebody looks.
 *
 * Not done: no retry.  What failed to be written is lost and counted; the first failure of a file
 * is logged, the others would only say it again. */
#include "obs/trace_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/file.h"
#include "base/thread.h"
#include "obs/trace_text.h"

#define MAIL_BYTES_MAX ((uint64_t)16 << 20)
#define BATCH_BYTES ((size_t)256 << 10) /* more is written before the next letter is looked at */
#define KEEP_BYTES ((size_t)1 << 20)    /* a larger batch is not kept for the next one */
#define TAIL "\n]\n"

struct sink {
    int fd;         /* -1: not open */
    uint64_t end;   /* where the tail begins */
    uint64_t index; /* in the file's name, when files rotate */
    uint64_t traces;
    bool is_told; /* that it cannot be written */
};

struct trp_trace_writer {
    const struct trp_alloc *alloc;
    struct trp_log *log;
    char file[sizeof((struct trp_trace_settings *)NULL)->file];
    uint64_t mail_bytes_max;
    struct trp_counter waiting; /* bytes of letters that were collected or posted, not written */
    struct trp_counter lost[TRP_TRACE_LOSSES];

    struct trp_lock lock; /* guards the next three */
    struct trp_trace_flush *first, **end;
    bool is_ending;
    struct trp_signal came;
    struct trp_thread thread;

    /* the thread's own */
    struct sink whole, rotating;
    struct sink *current;  /* of the batch */
    struct trp_buf batch;  /* letters that are not in the file yet */
    uint64_t batch_traces; /* how many */
};

/* ---- the file -------------------------------------------------------------------------------- */

static void name_of(const struct trp_trace_writer *w, const struct sink *s, char *out, size_t room)
{
    if (s == &w->rotating)
        (void)snprintf(out, room, "%s.%" PRIu64, w->file, s->index);
    else
        (void)snprintf(out, room, "%s", w->file);
}

static void tell(struct trp_trace_writer *w, struct sink *s, const char *why)
{
    char path[sizeof w->file + 24];
    if (s->is_told)
        return;
    s->is_told = true;
    name_of(w, s, path, sizeof path);
    TRP_ERROR_LOG(w->log, "obs", "trace file '%s' cannot be written, its traces are lost: %s", path,
                  why);
}

static void close_sink(struct sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

/* Nobody could find what is written to a file without a name. */
static bool has_name(const struct sink *s)
{
    struct stat st;
    return fstat(s->fd, &st) == 0 && st.st_nlink > 0;
}

/* Without O_NONBLOCK a pipe that nobody reads would hold the thread, and the server's end, for
 * ever. */
static bool open_sink(struct trp_trace_writer *w, struct sink *s)
{
    char path[sizeof w->file + 24];
    struct trp_error err = { 0 };
    if (s->fd >= 0 && has_name(s))
        return true;
    close_sink(s);
    s->end = 0;
    name_of(w, s, path, sizeof path);
    if (!w->file[0])
        return false; /* no file is wanted */
    if (!trp_failed(
            trp_file_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0644, &s->fd, &err)))
        return true;
    s->fd = -1;
    tell(w, s, err.text);
    return false;
}

static bool write_at(int fd, struct trp_str s, uint64_t at)
{
    while (s.len) {
        const ssize_t n = pwrite(fd, s.ptr, s.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = trp_str_make(s.ptr + n, s.len - (size_t)n);
        at += (uint64_t)n;
    }
    return true;
}

static bool append(struct trp_trace_writer *w, struct sink *s, struct trp_buf *text)
{
    trp_buf_add_text(text, TAIL);
    if (text->failed || !open_sink(w, s))
        return false;
    text->ptr[0] = s->end ? ',' : '[';
    if (write_at(s->fd, trp_buf_str(text), s->end)) {
        s->end += text->len - strlen(TAIL);
        return true;
    }
    struct trp_error err = { 0 };
    (void)trp_fail_errno(&err, errno, "write");
    tell(w, s, err.text);
    const struct trp_str tail = s->end ? TRP_STR_LIT(TAIL) : TRP_STR_LIT("[" TAIL);
    if (ftruncate(s->fd, (off_t)s->end) != 0 || !write_at(s->fd, tail, s->end))
        close_sink(s); /* beyond repair: the next letter begins the file anew */
    return false;
}

static void write_batch(struct trp_trace_writer *w)
{
    if (w->batch_traces && !append(w, w->current, &w->batch))
        trp_trace_writer_lose(w, TRP_TRACE_LOST_WRITE, w->batch_traces);
    w->batch_traces = 0;
    if (w->batch.capacity > KEEP_BYTES)
        trp_buf_deinit(&w->batch);
    trp_buf_reset(&w->batch);
}

/* ---- letters --------------------------------------------------------------------------------- */

static void free_one(struct trp_trace_mail *mail)
{
    for (struct trp_trace_copy *c = mail->first, *next = NULL; c; c = next) {
        next = c->next;
        trp_alloc_free(mail->alloc, c);
    }
    trp_buf_deinit(&mail->text);
    if (mail->box)
        trp_counter_sub(&mail->box->waiting, mail->paid_bytes);
    trp_alloc_free(mail->alloc, mail);
}

void trp_trace_mail_free(struct trp_trace_mail *mail)
{
    while (mail) {
        struct trp_trace_mail *const step = mail->step;
        free_one(mail);
        mail = step;
    }
}

/* The file of the next trace; with log_frequency n, each has n. */
static struct sink *sink_for(struct trp_trace_writer *w, uint32_t log_frequency)
{
    struct sink *s = log_frequency ? &w->rotating : &w->whole;
    const bool is_full = log_frequency && s->traces >= log_frequency;
    if (s != w->current || is_full)
        write_batch(w);
    if (is_full) {
        close_sink(s);
        s->index++;
        s->traces = 0;
        s->is_told = false;
    }
    w->current = s;
    return s;
}

/* The text of one letter; false: there is no memory for it. */
static bool add_letter(struct trp_trace_writer *w, struct trp_trace_mail *m)
{
    for (const struct trp_trace_copy *c = m->first; c; c = c->next)
        trp_trace_text_tensor(&m->text, m->id, c->activity, c->name, &c->tensor);
    trp_buf_add_str(&w->batch, trp_buf_str(&m->text));
    return !m->text.failed && !w->batch.failed;
}

static void take_letter(struct trp_trace_writer *w, struct trp_trace_mail *m)
{
    struct sink *s = sink_for(w, m->log_frequency);
    const size_t before = w->batch.len;
    bool is_whole = true;
    for (struct trp_trace_mail *part = m; is_whole && part; part = part->step)
        is_whole = add_letter(w, part);
    s->traces++;
    if (!is_whole) {
        w->batch.len = before;
        w->batch.failed = TRP_OK;
        trp_trace_writer_lose(w, TRP_TRACE_LOST_WRITE, 1);
    } else {
        w->batch_traces++;
    }
    trp_trace_mail_free(m);
    if (w->batch.len >= BATCH_BYTES)
        write_batch(w);
}

static struct trp_trace_flush *await_mail(struct trp_trace_writer *w)
{
    trp_lock_enter(&w->lock);
    while (!w->first && !w->is_ending)
        trp_signal_wait(&w->came, &w->lock);
    struct trp_trace_flush *mail = w->first;
    w->first = NULL;
    w->end = &w->first;
    trp_lock_leave(&w->lock);
    return mail;
}

static void write_all(void *user)
{
    struct trp_trace_writer *w = user;
    for (struct trp_trace_flush *mail; (mail = await_mail(w)) != NULL;) {
        for (struct trp_trace_flush *next = NULL; mail; mail = next) {
            next = mail->next;
            if (!mail->done) {
                take_letter(w, TRP_CONTAINER_OF(mail, struct trp_trace_mail, flush));
                continue;
            }
            write_batch(w);
            mail->done(mail); /* may free it */
        }
        write_batch(w);
    }
}

/* ---- the box --------------------------------------------------------------------------------- */

static void put(struct trp_trace_writer *w, struct trp_trace_flush *mail)
{
    mail->next = NULL;
    trp_lock_enter(&w->lock);
    const bool was_empty = w->first == NULL;
    *w->end = mail;
    w->end = &mail->next;
    trp_lock_leave(&w->lock);
    if (was_empty)
        trp_signal_one(&w->came);
}

bool trp_trace_writer_pay(struct trp_trace_writer *w, struct trp_trace_mail *mail,
                          uint64_t list_bytes)
{
    const uint64_t bytes = mail->bytes + mail->text.capacity;
    if (list_bytes > 0 && list_bytes + bytes > w->mail_bytes_max / 2)
        return false;
    if (!trp_counter_try_add(&w->waiting, bytes, w->mail_bytes_max))
        return false;
    mail->box = w;
    mail->paid_bytes = bytes;
    return true;
}

/* What hangs on it was paid for when it was collected. */
void trp_trace_writer_post(struct trp_trace_writer *w, struct trp_trace_mail *mail)
{
    if (trp_trace_writer_pay(w, mail, 0)) {
        put(w, &mail->flush);
        return;
    }
    trp_trace_writer_lose(w, TRP_TRACE_LOST_FULL, 1);
    trp_trace_mail_free(mail);
}

void trp_trace_writer_flush(struct trp_trace_writer *w, struct trp_trace_flush *flush)
{
    put(w, flush);
}

bool trp_trace_writer_is_full(const struct trp_trace_writer *w)
{
    return trp_counter_get(&w->waiting) >= w->mail_bytes_max;
}

void trp_trace_writer_lose(struct trp_trace_writer *w, enum trp_trace_loss loss, uint64_t n)
{
    trp_counter_add(&w->lost[loss], n);
}

uint64_t trp_trace_writer_lost(const struct trp_trace_writer *w, enum trp_trace_loss loss)
{
    return trp_counter_get(&w->lost[loss]);
}

/* ---- construction ---------------------------------------------------------------------------- */

trp_status trp_trace_writer_create(const struct trp_alloc *alloc, const struct trp_trace_opts *opts,
                                   struct trp_trace_writer **out_writer, struct trp_error *err)
{
    *out_writer = NULL;
    struct trp_trace_writer *w = trp_alloc_zeroed(alloc, 1, sizeof *w);
    if (!w)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "tracer");
    w->alloc = alloc;
    w->log = opts->log;
    w->mail_bytes_max = opts->mail_bytes_max ? opts->mail_bytes_max : MAIL_BYTES_MAX;
    w->whole.fd = w->rotating.fd = -1;
    w->current = &w->whole;
    w->end = &w->first;
    trp_buf_init(&w->batch, alloc, TRP_TRACE_TEXT_MAX + BATCH_BYTES);
    trp_lock_init(&w->lock, TRP_LOCK_TRACE_MAIL);
    trp_signal_init(&w->came);
    trp_status st;
    if (!trp_str_copy(trp_str_of(opts->file), w->file, sizeof w->file))
        st = trp_fail(err, TRP_TOO_LARGE, "trace file: a name of more than %zu bytes",
                      sizeof w->file - 1);
    else
        st = trp_thread_start(&w->thread, "traces", write_all, w, err);
    if (trp_failed(st)) {
        trp_trace_writer_destroy(w);
        return st;
    }
    *out_writer = w;
    return st;
}

void trp_trace_writer_destroy(struct trp_trace_writer *w)
{
    if (!w)
        return;
    trp_lock_enter(&w->lock);
    w->is_ending = true;
    trp_lock_leave(&w->lock);
    trp_signal_one(&w->came);
    trp_thread_join(&w->thread);
    close_sink(&w->whole);
    close_sink(&w->rotating);
    trp_buf_deinit(&w->batch);
    trp_signal_deinit(&w->came);
    trp_lock_deinit(&w->lock);
    trp_alloc_free(w->alloc, w);
}
