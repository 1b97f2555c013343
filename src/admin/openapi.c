/* admin/openapi.c - see openapi.h. */
#include "admin/openapi.h"

#include "admin/admin_internal.h"

trp_status trp_answer_openapi(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    (void)a;
    (void)err;
    c->raw = trp_str_make((const char *)trp_openapi_text, trp_openapi_bytes);
    c->raw_type = "application/json";
    return trp_ok();
}
