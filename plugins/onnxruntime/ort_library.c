/* onnxruntime/ort_library.c - see ort_library.h. */
#include "ort_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ort_words.h"

static const char *const file_names[] = { "libonnxruntime.so", "libonnxruntime.so.1" };
#define FILE_NAMES (sizeof file_names / sizeof file_names[0])

/* Keeps a device id and a database in the user's cache, and a thread, from being made.  The
 * variable is read once, when the library is first used. */
static void refuse_telemetry(void)
{
    const char *set = getenv("ORT_DISABLE_TELEMETRY");
    if (!set || strcmp(set, "1") != 0)
        setenv("ORT_DISABLE_TELEMETRY", "1", 1);
}

static int32_t open_path(const char *path, struct ort_library *out, void **out_handle,
                         struct troupe_error *error)
{
    *out_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*out_handle) {
        const char *why = dlerror();
        return ort_words_fail(error, TROUPE_IO, "ONNX Runtime cannot be opened: %s",
                              why ? why : path);
    }
    snprintf(out->path, sizeof out->path, "%s", path);
    return TROUPE_OK;
}

/* A library that the user named: it is there, or that is the answer. */
static int32_t open_named(const char *path, const char *by, struct ort_library *out,
                          void **out_handle, struct troupe_error *error)
{
    if (strchr(path, '/') && access(path, R_OK) != 0)
        return ort_words_fail(error, TROUPE_NOT_FOUND,
                              "ONNX Runtime is not at '%s', where %s says it is", path, by);
    return open_path(path, out, out_handle, error);
}

/* The folder of the library that something is in, with its last slash; empty when it cannot be
 * told. */
static void folder_of(const void *inside, char *out, size_t out_size)
{
    Dl_info info;
    out[0] = '\0';
    if (!dladdr(inside, &info) || !info.dli_fname)
        return;
    const char *slash = strrchr(info.dli_fname, '/');
    const size_t n = slash ? (size_t)(slash - info.dli_fname) + 1 : 0;
    if (n < out_size) {
        memcpy(out, info.dli_fname, n);
        out[n] = '\0';
    }
}

static int32_t open_anywhere(struct ort_library *out, void **out_handle, struct troupe_error *error)
{
    char folder[384], path[512];
    folder_of((const void *)file_names, folder, sizeof folder);
    for (size_t i = 0; folder[0] && i < FILE_NAMES; i++) {
        snprintf(path, sizeof path, "%s%s", folder, file_names[i]);
        if (access(path, R_OK) == 0)
            return open_path(path, out, out_handle, error);
    }
    for (size_t i = 0; i < FILE_NAMES; i++)
        if (open_path(file_names[i], out, out_handle, NULL) == TROUPE_OK)
            return TROUPE_OK;
    return ort_words_fail(
        error, TROUPE_NOT_FOUND,
        "ONNX Runtime was not found: looked for %s in %s and on the linker's path; set "
        "backends.onnxruntime.library or TROUPE_ONNXRUNTIME, or run tools/setup",
        file_names[0], folder[0] ? folder : "(unknown folder)");
}

/* The newest API of use here that a version has; 0: none.  Told from the version, because GetApi()
 * prints to the standard error when it refuses. */
static uint32_t api_of(const char *version)
{
    char *end;
    const unsigned long major = strtoul(version, &end, 10);
    const unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    if (major > 1 || (major == 1 && minor >= ORT_API_WANTED))
        return ORT_API_WANTED;
    return major == 1 && minor >= ORT_API_NEEDED ? ORT_API_NEEDED : 0;
}

static int32_t adopt(void *handle, uint32_t api_max, struct ort_library *out,
                     struct troupe_error *error)
{
    const struct OrtApiBase *(*get_base)(void);
    *(void **)&get_base = dlsym(handle, "OrtGetApiBase"); /* POSIX blesses this cast */
    const struct OrtApiBase *base = get_base ? get_base() : NULL;
    if (!base)
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED, "%s is not ONNX Runtime", out->path);
    snprintf(out->version, sizeof out->version, "%s", base->GetVersionString());
    folder_of((const void *)base, out->folder, sizeof out->folder);
    out->api_version = api_of(out->version);
    if (out->api_version > api_max)
        out->api_version = api_max;
    out->api = out->api_version ? base->GetApi(out->api_version) : NULL;
    if (!out->api)
        return ort_words_fail(error, TROUPE_UNIMPLEMENTED,
                              "ONNX Runtime %s at %s is too old: 1.%u or newer is needed",
                              out->version, out->path, ORT_API_NEEDED);
    return TROUPE_OK;
}

int32_t ort_library_open(const char *wanted, uint32_t api_max, struct ort_library *out,
                         struct troupe_error *error)
{
    void *handle = NULL;
    int32_t code;
    const char *from_environment = getenv("TROUPE_ONNXRUNTIME");
    refuse_telemetry();
    if (wanted && *wanted)
        code = open_named(wanted, "backends.onnxruntime.library", out, &handle, error);
    else if (from_environment && *from_environment)
        code = open_named(from_environment, "TROUPE_ONNXRUNTIME", out, &handle, error);
    else
        code = open_anywhere(out, &handle, error);
    if (code != TROUPE_OK)
        return code;
    code = adopt(handle, api_max, out, error);
    if (code != TROUPE_OK && handle)
        dlclose(handle); /* not used yet, so it may go */
    return code;
}
