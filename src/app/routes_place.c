/* app/routes_place.c - see routes_place.h. */
#include "app/routes_place.h"

#include <stdio.h>
#include <string.h>

trp_status trp_routes_place_find(const struct trp_settings *settings, const char *repository,
                                 struct trp_routes_place *out, struct trp_error *err)
{
    const char *path = trp_settings_text(settings, TRP_SETTING_ID_ROUTES_PATH);
    const int n = *path ? snprintf(out->path, sizeof out->path, "%s", path)
                        : snprintf(out->path, sizeof out->path, "%s/routes.yaml", repository);
    if (n < 0 || (size_t)n >= sizeof out->path)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "routes.path is too long");
    const char *slash = strrchr(out->path, '/');
    const size_t len = slash ? (size_t)(slash - out->path) : 0;
    memcpy(out->folder, slash ? out->path : ".", slash ? len : 1);
    out->folder[slash ? len : 1] = '\0';
    return trp_ok();
}
