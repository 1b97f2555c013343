/* onnxruntime/ort_words.c - see ort_words.h.
 *
 * ONNX Runtime's texts are written for its developers: they hold paths of the machine that built
 * it, whole C++ signatures, colours and line ends.  A reader of ours gets the sentence that is left
 * without those. */
#include "ort_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX sizeof(((struct troupe_error *)0)->text)

int32_t ort_words_fail(struct troupe_error *error, int32_t code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 overlooks va_start */
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        error->code = code;
    }
    return code;
}

/* --- cleaning --------------------------------------------------------------------------------- */

/* The length of "ESC [ ... m" at `at`, or 0. */
static size_t colour_length(const char *at)
{
    if (at[0] != '\033' || at[1] != '[')
        return 0;
    const size_t n = 2 + strspn(at + 2, "0123456789;");
    return at[n] == 'm' ? n + 1 : 0;
}

/* The length of a place in the sources, "/onnxruntime_src/.../reshape_helper.h:47", at `at`, or
 * 0. */
static size_t place_length(const char *at)
{
    static const char *const endings[] = { ".cc:", ".h:", ".cpp:", ".hpp:", ".cu:" };
    const size_t n = strcspn(at, " \n");
    if (at[0] != '/' && strncmp(at, "onnxruntime/", 12) != 0)
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        const char *ending = strstr(at, endings[i]);
        if (!ending || ending >= at + n)
            continue;
        const char *digits = ending + strlen(endings[i]);
        const size_t digits_n = strspn(digits, "0123456789");
        if (digits_n)
            return (size_t)(digits - at) + digits_n;
    }
    return 0;
}

/* The length of a bracketed text that begins at `at`, with what is nested in it; 0 when it does not
 * end. */
static size_t bracket_length(const char *at, char open, char close)
{
    size_t depth = 0;
    for (const char *c = at; *c; c++) {
        if (*c == open)
            depth++;
        else if (*c == close && --depth == 0)
            return (size_t)(c - at) + 1;
    }
    return 0;
}

/* The length of a C++ signature after a place: "ns::Type::Name(args) const::<lambda()> [with T =
 * int] ". */
static size_t signature_length(const char *at)
{
    const char *end_of_sentence = strpbrk(at, "\n.'\"");
    size_t n = 0;
    do {
        const char *paren = strchr(at + n, '(');
        if (!paren || (end_of_sentence && end_of_sentence < paren))
            return 0;
        const size_t inside = bracket_length(paren, '(', ')');
        if (inside == 0)
            return 0;
        n = (size_t)(paren - at) + inside;
        n += strncmp(at + n, " const", 6) == 0 ? 6 : 0;
        n += at[n] == '>';
    } while (strncmp(at + n, "::", 2) == 0);
    if (strncmp(at + n, " [with ", 7) == 0)
        n += 1 + bracket_length(at + n + 1, '[', ']');
    return n;
}

void ort_words_clean(const char *text, char *out, size_t out_size)
{
    size_t used = 0;
    bool owes_space = false;
    for (const char *at = text; *at && used + 2 < out_size;) {
        const size_t skipped = colour_length(at);
        const size_t place = skipped ? 0 : place_length(at);
        if (skipped || place) {
            at += skipped + place;
            at += place ? signature_length(at) : 0;
        } else if (isspace((unsigned char)*at)) {
            owes_space = used > 0;
            at++;
        } else {
            if (owes_space)
                out[used++] = ' ';
            owes_space = false;
            out[used++] = *at++;
        }
    }
    out[used] = '\0';
}

/* "Non-zero status code returned while running Add node. Name:'n' Status Message: text" says less
 * than "Add 'n': text".  Rewrites the first of them; false when there is none. */
static bool shorten(char *text, size_t size)
{
    static const char before_op[] = "Non-zero status code returned while running ";
    static const char before_name[] = " node. Name:'";
    static const char before_text[] = "' Status Message: ";
    char shorter[TEXT_MAX];
    const char *op = strstr(text, before_op);
    const char *name = op ? strstr(op, before_name) : NULL;
    const char *rest = name ? strstr(name, before_text) : NULL;
    if (!rest)
        return false;
    const int head_n = (int)(op - text);
    op += sizeof before_op - 1;
    const int op_n = (int)(name - op);
    name += sizeof before_name - 1;
    const int name_n = (int)(rest - name);
    rest += sizeof before_text - 1;
    if (name_n > 0)
        snprintf(shorter, sizeof shorter, "%.*s%.*s '%.*s': %s", head_n, text, op_n, op, name_n,
                 name, rest);
    else
        snprintf(shorter, sizeof shorter, "%.*s%.*s: %s", head_n, text, op_n, op, rest);
    snprintf(text, size, "%s", shorter);
    return true;
}

/* --- meaning ---------------------------------------------------------------------------------- */

/* What a code means while loading and while running. */
static const struct meaning {
    int32_t load, run;
} meanings[] = {
    [ORT_FAIL] = { TROUPE_INVALID_ARGUMENT, TROUPE_BACKEND_FAILED },
    [ORT_INVALID_ARGUMENT] = { TROUPE_INVALID_ARGUMENT, TROUPE_INVALID_ARGUMENT },
    [ORT_NO_SUCHFILE] = { TROUPE_NOT_FOUND, TROUPE_BACKEND_FAILED },
    [ORT_NO_MODEL] = { TROUPE_INVALID_ARGUMENT, TROUPE_BACKEND_FAILED },
    [ORT_ENGINE_ERROR] = { TROUPE_INTERNAL, TROUPE_BACKEND_FAILED },
    [ORT_RUNTIME_EXCEPTION] = { TROUPE_INVALID_ARGUMENT, TROUPE_BACKEND_FAILED },
    [ORT_INVALID_PROTOBUF] = { TROUPE_INVALID_ARGUMENT, TROUPE_BACKEND_FAILED },
    [ORT_MODEL_LOADED] = { TROUPE_INTERNAL, TROUPE_BACKEND_FAILED },
    [ORT_NOT_IMPLEMENTED] = { TROUPE_UNIMPLEMENTED, TROUPE_UNIMPLEMENTED },
    [ORT_INVALID_GRAPH] = { TROUPE_INVALID_ARGUMENT, TROUPE_BACKEND_FAILED },
    [ORT_EP_FAIL] = { TROUPE_INTERNAL, TROUPE_BACKEND_FAILED },
    [ORT_MODEL_LOAD_CANCELED] = { TROUPE_CANCELLED, TROUPE_CANCELLED },
    [ORT_MODEL_REQUIRES_COMPILATION] = { TROUPE_UNIMPLEMENTED, TROUPE_BACKEND_FAILED },
    [ORT_NOT_FOUND] = { TROUPE_NOT_FOUND, TROUPE_BACKEND_FAILED },
};

/* Where the words say more than the code.  First match wins. */
static const struct phrase {
    const char *part;
    int32_t code;
    const char *hint; /* appended; NULL: none */
} phrases[] = {
    { "Exiting due to terminate flag", TROUPE_CANCELLED, NULL },
    { "bad_alloc", TROUPE_OUT_OF_MEMORY, NULL },
    { "bad allocation", TROUPE_OUT_OF_MEMORY, NULL },
    { "Failed to allocate memory", TROUPE_OUT_OF_MEMORY, NULL },
    { "Available memory of", TROUPE_OUT_OF_MEMORY, NULL },
    { "CUDA failure 2:", TROUPE_OUT_OF_MEMORY, NULL },
    { "CUBLAS_STATUS_ALLOC_FAILED", TROUPE_OUT_OF_MEMORY, NULL },
    { "Failed to construct locale", TROUPE_FAILED_PRECONDITION,
      "; StringNormalizer needs that locale on this machine (Debian: package locales-all)" },
};

int32_t ort_words_of_status(const struct OrtApi *api, struct OrtStatus *status,
                            enum ort_phase phase, struct troupe_error *error)
{
    char text[TEXT_MAX];
    const int32_t from = api->GetErrorCode(status);
    const char *hint = "";
    ort_words_clean(api->GetErrorMessage(status), text, sizeof text);
    api->ReleaseStatus(status);
    while (shorten(text, sizeof text)) /* control flow operators nest them */
        ;
    int32_t code = phase == ORT_PHASE_LOAD ? TROUPE_INTERNAL : TROUPE_BACKEND_FAILED;
    if (from > ORT_OK && from < (int32_t)(sizeof meanings / sizeof meanings[0]))
        code = phase == ORT_PHASE_LOAD ? meanings[from].load : meanings[from].run;
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        if (!strstr(text, phrases[i].part))
            continue;
        code = phrases[i].code;
        hint = phrases[i].hint ? phrases[i].hint : "";
        break;
    }
    if (code == TROUPE_CANCELLED)
        return ort_words_fail(error, code, "cancelled");
    return ort_words_fail(error, code, "%.*s%s", (int)(TEXT_MAX - 1 - strlen(hint)), text, hint);
}
