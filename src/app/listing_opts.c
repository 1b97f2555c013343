/* app/listing_opts.c - see listing_opts.h. */
#include "app/listing_opts.h"

struct trp_repo_opts trp_listing_opts_make(const struct trp_settings *settings,
                                           const char *const *paths, uint32_t paths_n)
{
    return (struct trp_repo_opts){
        .path = paths[0],
        .further = paths + 1,
        .further_n = paths_n - 1,
        .models_max = (uint32_t)trp_settings_u64(settings, TRP_SETTING_ID_MODELS_MAX),
        .versions_max = (uint32_t)trp_settings_u64(settings, TRP_SETTING_ID_VERSIONS_MAX),
        .config_bytes_max = trp_settings_u64(settings, TRP_SETTING_ID_FILE_BYTES),
    };
}
