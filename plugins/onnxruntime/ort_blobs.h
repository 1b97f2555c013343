/* onnxruntime/ort_blobs.h - files of weights, each mapped once.
 * Answers "where in memory is this blob, and who uses it?".  Models that share a weight share its
 * one mapping: its pages are there once, so are the tables that point to them, and the kernel's
 * limit of mappings counts it once. */
#ifndef TRP_ORT_BLOBS_H
#define TRP_ORT_BLOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define ORT_BLOB_BUCKETS 4096u

struct ort_blob;

/* All that are mapped.  Zero, but for the lock, is empty. */
struct ort_blobs {
    pthread_mutex_t lock; /* the last one: nothing is called under it */
    struct ort_blob *buckets[ORT_BLOB_BUCKETS];
};

/* Maps a file of which `bytes` are needed, or finds it mapped.  A file that was changed or replaced
 * since is another one.
 *   Owns  : one use, awake, which the caller gives back with ort_blobs_leave(), which is told
 *           whether it still is.
 *   Thread: any.
 *   Blocks: disk.
 *   Errors: NULL: it is not there, is shorter, or memory is short. */
struct ort_blob *ort_blobs_enter(struct ort_blobs *blobs, const char *path, uint64_t bytes);
void ort_blobs_leave(struct ort_blobs *blobs, struct ort_blob *blob, bool is_awake);

/* Its bytes; read only.
 *   Owns  : as long as it is used.
 *   Thread: any.
 *   Errors: none. */
const void *ort_blob_data(const struct ort_blob *blob);
uint64_t ort_blob_bytes(const struct ort_blob *blob);

/* One of those who use it does not need its pages for now, or needs them again.  When nobody does
 * they are dropped: they come back from the file when somebody touches them, all the sooner when he
 * has said so before.
 *   Owns  : nothing.
 *   Thread: any.
 *   Cost  : a system call when it is the last, or the first.
 *   Errors: none. */
void ort_blobs_sleep(struct ort_blobs *blobs, struct ort_blob *blob);
void ort_blobs_wake(struct ort_blobs *blobs, struct ort_blob *blob);

/* Brings all of its pages, so that nobody has to wait for them one by one.
 *   Owns  : nothing.
 *   Thread: any that uses it.
 *   Blocks: disk.
 *   Errors: none: they come when they are touched. */
void ort_blob_touch(const struct ort_blob *blob);

#endif
