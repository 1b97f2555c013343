/* onnxruntime/ort_blobs.c - see ort_blobs.h.
 *
 *  1. What a blob is, the file system says: device, inode, size and the times of its last changes.
 *     So a file that took another's name is another blob, and so is one that was written to: who
 *     has it mapped keeps what he has, and nobody joins him.
 *  2. Two who map one file at the same moment may both map it before either is in the table; the
 *     second then uses the first's.
 *  3. Mappings are private and read only.  Nobody can write to what others run on. */
#include "ort_blobs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct identity {
    uint64_t device, inode, bytes;
    int64_t written_s, written_ns, changed_s, changed_ns;
};

struct ort_blob {
    struct ort_blob *next;
    struct identity is;
    void *data;
    uint32_t users_n, awake_n;
};

static struct ort_blob **bucket_of(struct ort_blobs *blobs, const struct identity *is)
{
    const uint64_t mixed = (is->inode ^ is->device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return &blobs->buckets[mixed >> 52]; /* 12 bits */
}
_Static_assert(ORT_BLOB_BUCKETS == 1u << 12, "as many buckets as bucket_of() can name");

/* The one in the table, with one use more; NULL: it is not there. */
static struct ort_blob *find(struct ort_blobs *blobs, const struct identity *is)
{
    struct ort_blob *b = *bucket_of(blobs, is);
    while (b && memcmp(&b->is, is, sizeof *is) != 0)
        b = b->next;
    if (b) {
        b->users_n++;
        b->awake_n++;
    }
    return b;
}

static void free_blob(struct ort_blob *b)
{
    munmap(b->data, b->is.bytes);
    free(b);
}

static struct ort_blob *map(int fd, const struct identity *is)
{
    struct ort_blob *b = malloc(sizeof *b);
    void *data = b ? mmap(NULL, is->bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (data == MAP_FAILED) {
        free(b);
        return NULL;
    }
    *b = (struct ort_blob){ .is = *is, .data = data, .users_n = 1, .awake_n = 1 };
    return b;
}

static struct ort_blob *put(struct ort_blobs *blobs, struct ort_blob *fresh)
{
    pthread_mutex_lock(&blobs->lock);
    struct ort_blob *known = find(blobs, &fresh->is);
    if (!known) {
        struct ort_blob **bucket = bucket_of(blobs, &fresh->is);
        fresh->next = *bucket;
        *bucket = fresh;
    }
    pthread_mutex_unlock(&blobs->lock);
    if (known)
        free_blob(fresh);
    return known ? known : fresh;
}

static bool identify(int fd, struct identity *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
        return false;
    *out = (struct identity){ .device = (uint64_t)st.st_dev,
                              .inode = (uint64_t)st.st_ino,
                              .bytes = (uint64_t)st.st_size,
                              .written_s = st.st_mtim.tv_sec,
                              .written_ns = st.st_mtim.tv_nsec,
                              .changed_s = st.st_ctim.tv_sec,
                              .changed_ns = st.st_ctim.tv_nsec };
    return true;
}

struct ort_blob *ort_blobs_enter(struct ort_blobs *blobs, const char *path, uint64_t bytes)
{
    struct identity is;
    struct ort_blob *b = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    if (identify(fd, &is) && is.bytes >= bytes) {
        pthread_mutex_lock(&blobs->lock);
        b = find(blobs, &is);
        pthread_mutex_unlock(&blobs->lock);
        if (!b && (b = map(fd, &is)))
            b = put(blobs, b);
    }
    close(fd);
    return b;
}

void ort_blobs_leave(struct ort_blobs *blobs, struct ort_blob *blob, bool is_awake)
{
    pthread_mutex_lock(&blobs->lock);
    blob->awake_n -= is_awake;
    const bool is_last = --blob->users_n == 0;
    if (is_last) {
        struct ort_blob **at = bucket_of(blobs, &blob->is);
        while (*at != blob)
            at = &(*at)->next;
        *at = blob->next;
    } else if (blob->awake_n == 0) {
        (void)madvise(blob->data, blob->is.bytes, MADV_DONTNEED);
    }
    pthread_mutex_unlock(&blobs->lock);
    if (is_last)
        free_blob(blob);
}

const void *ort_blob_data(const struct ort_blob *blob)
{
    return blob->data;
}

uint64_t ort_blob_bytes(const struct ort_blob *blob)
{
    return blob->is.bytes;
}

/* Advice is taken or not; either way what is read stays the same.  Under the lock: who wakes it
 * meanwhile must come after. */
void ort_blobs_sleep(struct ort_blobs *blobs, struct ort_blob *blob)
{
    pthread_mutex_lock(&blobs->lock);
    if (--blob->awake_n == 0)
        (void)madvise(blob->data, blob->is.bytes, MADV_DONTNEED);
    pthread_mutex_unlock(&blobs->lock);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ \
    22 /* since Linux 5.14; an older kernel refuses it, and pages come one by one */
#endif

void ort_blob_touch(const struct ort_blob *blob)
{
    (void)madvise(blob->data, blob->is.bytes, MADV_POPULATE_READ);
}

void ort_blobs_wake(struct ort_blobs *blobs, struct ort_blob *blob)
{
    pthread_mutex_lock(&blobs->lock);
    if (blob->awake_n++ == 0)
        (void)madvise(blob->data, blob->is.bytes, MADV_WILLNEED);
    pthread_mutex_unlock(&blobs->lock);
}
