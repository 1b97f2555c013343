/* onnxruntime/ort_file.h - what the model file says that the C API does not tell.
 * Answers "does this input declare a shape?", "which keys does this ZipMap have?" and "which
 * weights lie elsewhere?".
 *
 * A walk over the protobuf wire format that reads only what it looks at: weights are stepped over,
 * never read.  The file may be anything; a walk that finds nonsense finds nothing. */
#ifndef TRP_ORT_FILE_H
#define TRP_ORT_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct ort_file;

/* Opens a model file.
 *   Owns  : the caller closes.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: NULL when it cannot be read, or memory is short. */
struct ort_file *ort_file_open(const char *path);
void ort_file_close(struct ort_file *file); /* accepts NULL */

/* Says whether a graph input or output is declared with a shape, even an empty one (a scalar).
 *   Owns  : borrowed.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: false when there is none, or the file cannot be understood. */
bool ort_file_has_shape(struct ort_file *file, const char *name);

/* The keys of the ZipMap that makes graph output `name`, as texts, in the order of its columns.
 *   Owns  : the caller frees each and the array with free().
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: NULL when no ZipMap makes it, or its keys are absent, more than ORT_FILE_KEYS_MAX, or
 *   memory is
 *           short. */
#define ORT_FILE_KEYS_MAX 65536u
struct ort_file_keys {
    char **texts;
    uint32_t n;
    bool are_integers;
};
bool ort_file_zipmap_keys(struct ort_file *file, const char *name, struct ort_file_keys *out);
void ort_file_free_keys(struct ort_file_keys *keys);

/* Tells of each initialiser of the main graph whose bytes lie in another file; those that a client
 * may override, and those of more dimensions than fit, are left out.
 *   Owns  : what `each` gets is borrowed for the call.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: false when `each` returned false, or memory is short; what cannot be understood is
 *           left out. */
#define ORT_FILE_RANK_MAX 16u
struct ort_file_external {
    const char *name, *location;
    int32_t element; /* enum ort_element: its numbers are the file's */
    uint32_t rank;
    int64_t dims[ORT_FILE_RANK_MAX];
    uint64_t offset, bytes;
};
bool ort_file_each_external(struct ort_file *file,
                            bool (*each)(void *user, const struct ort_file_external *e),
                            void *user);

#endif
