/* app/backend_set.c - see backend_set.h. */
#include "app/backend_set.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

#define OPTIONS_MAX 8
#define FOLDER_MAX 4096

/* Puts `below` in place of the binary's own name; false when there is no room or no such folder. */
static bool folder_beside(const char *below, char out[FOLDER_MAX])
{
    struct trp_file_stat st;
    const ssize_t n = readlink("/proc/self/exe", out, FOLDER_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(out, '/');
    const size_t room = slash ? FOLDER_MAX - (size_t)(slash - out) : 0;
    return trp_str_copy(trp_str_of(below), slash ? slash : out, room ? room : 1) && slash &&
           !trp_failed(trp_file_stat(out, &st, NULL)) && st.kind == 'd';
}

/* lib/troupe beside the binary (a build folder), or beside its folder (an installation), unless
 * backends.path says otherwise. */
static const char *plugin_folder(const struct trp_settings *settings, char out[FOLDER_MAX])
{
    const char *path = trp_settings_text(settings, TRP_SETTING_ID_PLUGINS);
    if (*path)
        return path;
    return folder_beside("/lib/troupe", out) || folder_beside("/../lib/troupe", out) ? out : NULL;
}

trp_status trp_backend_set_create(const struct trp_alloc *alloc,
                                  const struct trp_backend_set_opts *set_opts,
                                  struct trp_backends **out_backends, struct trp_error *err)
{
    const struct trp_settings *settings = set_opts->settings;
    struct troupe_option options[OPTIONS_MAX];
    uint32_t n = 0;
    char threads[24], devices[24], folder[FOLDER_MAX];
    const char *library = trp_settings_text(settings, TRP_SETTING_ID_ORT_LIBRARY);
    if (*library)
        options[n++] = (struct troupe_option){ "onnxruntime.library", library };
    (void)snprintf(threads, sizeof threads, "%llu",
                   (unsigned long long)trp_settings_u64(settings, TRP_SETTING_ID_ORT_THREADS));
    options[n++] = (struct troupe_option){ "onnxruntime.threads", threads };
    (void)snprintf(devices, sizeof devices, "%llu",
                   (unsigned long long)trp_settings_u64(settings, TRP_SETTING_ID_ECHO_DEVICES));
    options[n++] = (struct troupe_option){ "echo.devices", devices };
    const struct trp_backends_opts opts = {
        .path = plugin_folder(settings, folder),
        .clock = trp_clock_system(),
        .log = set_opts->log,
        .options = options,
        .options_n = n,
        .account = set_opts->account,
        .worker_program = set_opts->worker_program,
        .worker_nice = (int32_t)trp_settings_u64(settings, TRP_SETTING_ID_EXECUTOR_NICE),
        .metrics = set_opts->metrics,
        .commons = set_opts->commons,
        .worker_bytes = trp_settings_u64(settings, TRP_SETTING_ID_WORKER_BYTES)
    };
    return trp_backends_create(alloc, &opts, out_backends, err);
}
