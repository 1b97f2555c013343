/* cli/curl_print.c - see curl_print.h. */
#include "cli/curl_print.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/client.h"

#define NUMBERS_MAX 4096u

/* In single quotes for a shell. */
static void print_quoted(struct trp_str text)
{
    fputc('\'', stdout);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            fputs("'\\''", stdout);
        else
            fputc(text.ptr[i], stdout);
    }
    fputc('\'', stdout);
}

/* tail has the data of a .npy file, which stand behind its header. */
static void print_part(const struct cli_curl_part *part)
{
    if (part->is_element) {
        fputs(" printf '", stdout);
        for (uint32_t i = 0; i < 4; i++) /* little-endian */
            printf("\\%03o", (unsigned)(part->bytes >> (8 * i) & 0xff));
        fputs("'; cat -- ", stdout);
    } else {
        printf(" tail -c %llu -- ", (unsigned long long)part->bytes);
    }
    print_quoted(trp_str_of(part->path));
    fputc(';', stdout);
}

static void print_fields(struct cli *cli)
{
    const char *word;
    for (uint32_t i = 0; (word = cli_list(cli, "header", i)) != NULL; i++) {
        const char *equals = strchr(word, '=');
        if (!equals)
            continue; /* it was refused before */
        const struct trp_str field =
            trp_arena_format(&cli->arena, "%.*s: %s", (int)(equals - word), word, equals + 1);
        fputs("-H ", stdout);
        print_quoted(field);
        fputc(' ', stdout);
    }
}

static void print_url(struct cli *cli, const char *path)
{
    static const struct trp_str unix_prefix = { "unix:", 5 }, http_prefix = { "http://", 7 };
    struct trp_str server = trp_str_of(cli_server(cli));
    if (trp_str_starts_with(server, unix_prefix)) {
        fputs("--unix-socket ", stdout);
        print_quoted(trp_str_make(server.ptr + unix_prefix.len, server.len - unix_prefix.len));
        fputc(' ', stdout);
        server = TRP_STR_LIT("localhost");
    }
    printf("%s%.*s%s ", trp_str_starts_with(server, http_prefix) ? "" : http_prefix.ptr,
           TRP_STR(server), path);
}

void cli_print_curl(struct cli *cli, const struct cli_curl *curl)
{
    if (curl->parts_n > 0) {
        fputs("{ printf %s ", stdout);
        print_quoted(curl->json);
        fputc(';', stdout);
        for (uint32_t i = 0; i < curl->parts_n; i++)
            print_part(&curl->parts[i]);
        fputs(" } | ", stdout);
    }
    fputs("curl -s ", stdout);
    print_url(cli, curl->path);
    print_fields(cli);
    if (curl->parts_n > 0) {
        printf("-H 'Inference-Header-Content-Length: %zu' --data-binary @-\n", curl->json.len);
        return;
    }
    fputs("-d ", stdout);
    print_quoted(curl->json);
    fputc('\n', stdout);
}

struct trp_str cli_curl_numbers(struct cli *cli, const struct troupe_tensor *t)
{
    const uint64_t n = t->dtype == TROUPE_FP32 ? t->bytes / sizeof(float) : t->bytes;
    struct trp_buf b;
    if (n > NUMBERS_MAX || (t->dtype != TROUPE_FP32 && t->dtype != TROUPE_UINT8))
        return (struct trp_str){ NULL, 0 };
    trp_buf_init(&b, trp_heap(), 1 << 20);
    for (uint64_t i = 0; i < n; i++)
        trp_buf_addf(&b, "%s%.9g", i ? "," : "[",
                     t->dtype == TROUPE_FP32 ? (double)((const float *)t->data)[i]
                                             : (double)((const uint8_t *)t->data)[i]);
    trp_buf_add_char(&b, ']');
    const struct trp_str out = !trp_failed(trp_buf_check(&b, "numbers", NULL))
                                   ? trp_arena_dup(&cli->arena, trp_buf_str(&b))
                                   : (struct trp_str){ NULL, 0 };
    trp_buf_deinit(&b);
    return out;
}
