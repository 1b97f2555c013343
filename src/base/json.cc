/* base/json.cc - a thin C face over simdjson, and numbers as text.
 *
 * Problem.  150,000 floats in a request must cost little more than finding and converting them.
 *
 * Design.  simdjson's DOM parser writes a tape: one 64-bit word per value, its kind in the top
 * byte, and for numbers a second word with the binary value.  A `struct trp_json` is a document
 * and an index into its tape, so walking needs no objects, and filling a tensor is one loop over
 * the tape that does not care how deep the array is nested.  One row of a table says all there is
 * to know about an element type.
 *
 * What simdjson refuses is given to base/json_text.c, which either says what is wrong and where,
 * or mends the text (bare NaN, integers beyond 64 bits) for a second try.
 *
 * The file is longer than the house likes because it is the only C++: all templates live here.
 *
 * Invariants.
 *  1. Nothing is thrown: the file is compiled without exceptions, and simdjson allocates with
 *     nothrow.
 *  2. Every index was made by the walker from a tape that parsed, so it lies within the tape.
 *  3. Memory follows the texts: a parser whose last texts were all far smaller than its capacity
 *     shrinks. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <string_view>
#include <type_traits>

/* C headers with compound literals, which both compilers know in C++ but call an extension. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
extern "C" {
#include "base/alloc.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
}
#include "base/half.h"
#include "base/json.h"
#include "base/json_text.h"
#include "troupe/tensor.h"
#pragma GCC diagnostic pop

static_assert(TRP_JSON_PADDING >= simdjson::SIMDJSON_PADDING,
              "simdjson reads further than we promise");

namespace
{

using document = simdjson::dom::document;

constexpr size_t CAPACITY_MIN = size_t{ 64 } << 10;
constexpr size_t CAPACITY_WORTH_SHRINKING = size_t{ 4 } << 20;
constexpr uint32_t SMALL_TEXTS_BEFORE_SHRINKING = 64;

/* ---- the tape -------------------------------------------------------------------------------- */

enum kind : uint8_t {
    K_ARRAY = '[',
    K_ARRAY_END = ']',
    K_OBJECT = '{',
    K_STRING = '"',
    K_INT = 'l',
    K_UINT = 'u',
    K_FLOAT = 'd',
    K_TRUE = 't',
    K_FALSE = 'f',
    K_NULL = 'n'
};

const document *doc_of(const void *doc)
{
    return static_cast<const document *>(doc);
}

kind kind_at(const uint64_t *tape, size_t at)
{
    return static_cast<kind>(tape[at] >> 56);
}

/* Index of what follows the value at `at`. */
size_t after(const uint64_t *tape, size_t at)
{
    switch (kind_at(tape, at)) {
    case K_ARRAY:
    case K_OBJECT:
        return static_cast<uint32_t>(tape[at]);
    case K_INT:
    case K_UINT:
    case K_FLOAT:
        return at + 2;
    default:
        return at + 1;
    }
}

trp_str string_at(const document *doc, size_t at)
{
    const uint8_t *entry = doc->string_buf.get() + (doc->tape[at] & 0x00ffffffffffffff);
    uint32_t len;
    memcpy(&len, entry, sizeof len);
    return trp_str_make(reinterpret_cast<const char *>(entry) + sizeof len, len);
}

double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* "NaN", "Infinity", "-Infinity": as protobuf's JSON spells what JSON lacks. */
bool parse_nonfinite(trp_str s, double *out)
{
    const std::string_view text(s.ptr, s.len);
    if (text == "NaN")
        *out = std::numeric_limits<double>::quiet_NaN();
    else if (text == "Infinity")
        *out = std::numeric_limits<double>::infinity();
    else if (text == "-Infinity")
        *out = -std::numeric_limits<double>::infinity();
    else
        return false;
    return true;
}

/* ---- numbers to elements --------------------------------------------------------------------- */

template <typename T> constexpr bool is_float = std::is_floating_point<T>::value;
template <typename T>
constexpr bool is_whole = std::is_integral<T>::value && !std::is_same<T, bool>::value;

/* FP16 and BF16 are both uint16_t to the compiler; these tell them apart. */
struct fp16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

/* The float below or above `d` whose last bit is set when `d` lies between two floats.  Rounding
 * that to 16 bits gives what rounding `d` itself would; rounding twice to nearest would not.
 * Source: Boldo and Melquiond, "When double rounding is odd", 2005. */
float round_to_odd(double d)
{
    float f = static_cast<float>(d);
    if (static_cast<double>(f) == d || std::isinf(f))
        return f;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (std::fabs(static_cast<double>(f)) > std::fabs(d))
        bits--; /* towards zero */
    bits |= 1;
    memcpy(&f, &bits, sizeof f);
    return f;
}

bool narrow(double d, double *out)
{
    *out = d;
    return true;
}

bool narrow(double d, float *out)
{
    *out = static_cast<float>(d);
    return !std::isinf(*out) || std::isinf(d);
}

bool narrow(double d, fp16 *out)
{
    out->bits = trp_fp16_of(round_to_odd(d));
    return (out->bits & 0x7fff) != 0x7c00 || std::isinf(d);
}

bool narrow(double d, bf16 *out)
{
    out->bits = trp_bf16_of(round_to_odd(d));
    return (out->bits & 0x7fff) != 0x7f80 || std::isinf(d);
}

/* Converts a scalar of the tape; false when it is of a wrong kind or does not fit.  `next` is the
 * word behind the value's first, where numbers have their value. */
template <typename T> struct element { /* floats of all widths */
    static bool read(kind k, uint64_t next, T *out)
    {
        switch (k) {
        case K_FLOAT:
            return narrow(double_of(next), out);
        case K_INT:
            if constexpr (is_float<T>)
                return *out = static_cast<T>(static_cast<int64_t>(next)), true;
            else
                return narrow(static_cast<double>(static_cast<int64_t>(next)), out);
        case K_UINT:
            if constexpr (is_float<T>)
                return *out = static_cast<T>(next), true;
            else
                return narrow(static_cast<double>(next), out);
        default:
            return false;
        }
    }
    static bool read_text(trp_str s, T *out)
    {
        double d;
        return parse_nonfinite(s, &d) && narrow(d, out);
    }
};

template <typename T> struct integer_element {
    static bool read(kind k, uint64_t next, T *out)
    {
        using limits = std::numeric_limits<T>;
        if (k == K_INT) {
            const int64_t v = static_cast<int64_t>(next);
            if constexpr (std::is_signed<T>::value) {
                if (v < limits::min() || v > limits::max())
                    return false;
            } else {
                if (v < 0 || static_cast<uint64_t>(v) > limits::max())
                    return false;
            }
            *out = static_cast<T>(v);
            return true;
        }
        if (k == K_UINT) { /* always above INT64_MAX */
            *out = static_cast<T>(next);
            return std::is_same<T, uint64_t>::value;
        }
        if (k != K_FLOAT)
            return false;
        /* 3.0 is a whole number.  From 2^53 on the text may have been another one: not exact. */
        const double d = double_of(next), low = static_cast<double>(limits::min());
        const double beyond = static_cast<double>(limits::max() / 2 + 1) * 2;
        constexpr double rounded = 9007199254740992.0;
        if (!(d >= low && d < beyond && std::fabs(d) < rounded) || d != std::trunc(d))
            return false;
        *out = static_cast<T>(d);
        return true;
    }
    static bool read_text(trp_str, T *)
    {
        return false;
    }
};

template <> struct element<int8_t> : integer_element<int8_t> {
};
template <> struct element<int16_t> : integer_element<int16_t> {
};
template <> struct element<int32_t> : integer_element<int32_t> {
};
template <> struct element<int64_t> : integer_element<int64_t> {
};
template <> struct element<uint8_t> : integer_element<uint8_t> {
};
template <> struct element<uint16_t> : integer_element<uint16_t> {
};
template <> struct element<uint32_t> : integer_element<uint32_t> {
};
template <> struct element<uint64_t> : integer_element<uint64_t> {
};

template <> struct element<bool> {
    static bool read(kind k, uint64_t, bool *out)
    {
        *out = k == K_TRUE;
        return k == K_TRUE || k == K_FALSE;
    }
    static bool read_text(trp_str, bool *)
    {
        return false;
    }
};

/* ---- elements to text ------------------------------------------------------------------------ */

/* Room that one element needs at most: -1.7976931348623157e+308 is the longest number. */
constexpr size_t TEXT_MAX = 32;
constexpr size_t CHUNK = 512;

char *copy_text(char *p, std::string_view text)
{
    memcpy(p, text.data(), text.size());
    return p + text.size();
}

/* The fewest digits that read back the same. */
template <typename T> char *write(char *p, T v)
{
    if constexpr (is_float<T>) {
        if (!std::isfinite(v))
            return copy_text(p, std::isnan(v) ? "\"NaN\""
                                : v > 0       ? "\"Infinity\""
                                              : "\"-Infinity\"");
        if (v == 0)
            return copy_text(p,
                             std::signbit(v) ? "-0.0" : "0"); /* "-0" would be read as an integer */
    }
    return std::to_chars(p, p + TEXT_MAX, v).ptr;
}

char *write(char *p, bool v)
{
    return copy_text(p, v ? "true" : "false");
}

/* As the FP32 number that it is exactly: a reader with wider floats gets the same value. */
char *write(char *p, fp16 v)
{
    return write(p, trp_fp16_to(v.bits));
}

char *write(char *p, bf16 v)
{
    return write(p, trp_bf16_to(v.bits));
}

/* How many of `wanted` elements fit the buffer's maximum for certain. */
size_t certain_to_fit(const trp_buf *b, size_t wanted)
{
    const size_t fit = (b->max - b->len) / (TEXT_MAX + 1);
    return wanted < fit ? wanted : fit;
}

/* Writes up to `n` elements, each with a comma in front unless it is the first. */
template <typename T> void write_some(trp_buf *b, const char *from, size_t n, bool first)
{
    char *const begin = trp_buf_room(b, n * (TEXT_MAX + 1));
    if (!begin)
        return;
    char *p = begin;
    for (size_t i = 0; i < n; i++, first = false) {
        if (!first)
            *p++ = ',';
        T v;
        memcpy(&v, from + i * sizeof v, sizeof v);
        p = write(p, v);
    }
    trp_buf_added(b, static_cast<size_t>(p - begin));
}

/* Near the maximum: only what is really needed counts. */
template <typename T> void write_tightly(trp_buf *b, const char *from, bool first)
{
    char text[TEXT_MAX + 1];
    T v;
    memcpy(&v, from, sizeof v);
    text[0] = ',';
    const char *end = write(text + 1, v);
    trp_buf_add(b, first ? text + 1 : text, static_cast<size_t>(end - text) - (first ? 1 : 0));
}

/* Asks for the memory of the rest at once: growing by doubling would copy everything again and
 * again. */
void reserve_rest(trp_buf *b, size_t written, size_t left)
{
    const size_t likely = written / CHUNK * left, possible = b->max - b->len;
    const size_t wanted = likely + likely / 16 + TEXT_MAX;
    (void)trp_buf_room(b, wanted < possible ? wanted : possible);
}

template <typename T> void write_elements(trp_buf *b, const void *values, size_t count)
{
    const char *const from = static_cast<const char *>(values);
    const size_t begun = b->len;
    for (size_t done = 0; done < count && b->failed == TRP_OK;) {
        const size_t left = count - done;
        const size_t n = certain_to_fit(b, left < CHUNK ? left : CHUNK);
        if (n)
            write_some<T>(b, from + done * sizeof(T), n, done == 0);
        else
            write_tightly<T>(b, from + done * sizeof(T), done == 0);
        done += n ? n : 1;
        if (done == CHUNK && b->failed == TRP_OK)
            reserve_rest(b, b->len - begun, count - done);
    }
}

/* ---- filling a tensor ------------------------------------------------------------------------ */

/* What a value is, in words for a message. */
void describe(const document *doc, size_t at, char (&out)[96])
{
    const uint64_t *tape = doc->tape.get();
    char *end;
    switch (kind_at(tape, at)) {
    case K_INT:
        end = write(out, static_cast<int64_t>(tape[at + 1]));
        break;
    case K_UINT:
        end = write(out, tape[at + 1]);
        break;
    case K_FLOAT:
        end = write(out, double_of(tape[at + 1]));
        break;
    case K_STRING: {
        const trp_str s = string_at(doc, at);
        end = copy_text(out, "the string '");
        end = copy_text(end, std::string_view(s.ptr, s.len < 40 ? s.len : 40));
        end = copy_text(end, s.len <= 40 ? "'" : "...'");
        break;
    }
    case K_TRUE:
    case K_FALSE:
        end = write(out, kind_at(tape, at) == K_TRUE);
        break;
    default:
        end = copy_text(out, kind_at(tape, at) == K_OBJECT ? "an object" : "null");
    }
    *end = '\0';
}

bool has_fraction(const uint64_t *tape, size_t at)
{
    const double d = kind_at(tape, at) == K_FLOAT ? double_of(tape[at + 1]) : 0;
    return d != std::trunc(d);
}

trp_status refuse(const document *doc, size_t at, size_t index, const char *dtype, bool whole,
                  trp_error *err)
{
    char value[96];
    describe(doc, at, value);
    const kind k = kind_at(doc->tape.get(), at);
    const bool number = k == K_INT || k == K_UINT || k == K_FLOAT;
    if (number && whole && has_fraction(doc->tape.get(), at))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "element %zu: %s is no whole number, expected %s", index, value, dtype);
    if (number && strcmp(dtype, "BOOL") != 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "element %zu: %s does not fit %s", index, value,
                        dtype);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "element %zu: %s, expected %s", index, value, dtype);
}

/* The common case, a run of numbers with a point: returns how many were written before something
 * else came.  Its tape words are all alike, so the loop is one compare, one conversion and one
 * store. */
template <typename T> size_t fill_run(const uint64_t *tape, size_t end, char *to, size_t count)
{
    constexpr uint64_t float_word = static_cast<uint64_t>(K_FLOAT) << 56;
    size_t n = 0;
    if constexpr (!is_whole<T> && !std::is_same<T, bool>::value) {
        for (size_t at = 0; n < count && at < end && tape[at] == float_word; at += 2, n++) {
            T v;
            if (!narrow(double_of(tape[at + 1]), &v))
                break;
            memcpy(to + n * sizeof v, &v, sizeof v);
        }
    }
    return n;
}

/* One pass over the tape; brackets are stepped over, so any nesting reads as the flat array it is.
 * */
template <typename T>
trp_status fill(const document *doc, size_t at, const char *dtype, void *out, size_t count,
                trp_error *err)
{
    const uint64_t *const tape = doc->tape.get();
    const size_t end = after(tape, at);
    char *to = static_cast<char *>(out);
    size_t n = 0;
    while (at < end) {
        const kind k = kind_at(tape, at);
        if (k == K_ARRAY || k == K_ARRAY_END) {
            at++;
            continue;
        }
        const size_t run = fill_run<T>(tape + at, end - at, to, count - n);
        if (run) {
            to += run * sizeof(T);
            n += run;
            at += run * 2;
            continue;
        }
        if (n == count)
            return trp_fail(err, TRP_INVALID_ARGUMENT, "more than %zu elements", count);
        T v;
        if (!element<T>::read(k, tape[at + 1], &v) &&
            !(k == K_STRING && element<T>::read_text(string_at(doc, at), &v)))
            return refuse(doc, at, n, dtype, is_whole<T>, err);
        memcpy(to, &v, sizeof v);
        to += sizeof v;
        n++;
        at += k == K_FLOAT || k == K_INT || k == K_UINT ? 2 : 1;
    }
    if (n < count)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%zu elements, expected %zu", n, count);
    return trp_ok();
}

/* How elements of a type are read, written and called; types without numbers have no row. */
struct dtype_row {
    const char *name;
    trp_status (*fill)(const document *, size_t, const char *, void *, size_t, trp_error *);
    void (*write)(trp_buf *, const void *, size_t);
};

template <typename T> constexpr dtype_row row(const char *name)
{
    return { name, fill<T>, write_elements<T> };
}

const dtype_row *row_of(int32_t dtype)
{
    static const dtype_row rows[TROUPE_DTYPES] = {
        { nullptr, nullptr, nullptr }, /* NO_DTYPE */
        row<bool>("BOOL"),
        row<uint8_t>("UINT8"),
        row<uint16_t>("UINT16"),
        row<uint32_t>("UINT32"),
        row<uint64_t>("UINT64"),
        row<int8_t>("INT8"),
        row<int16_t>("INT16"),
        row<int32_t>("INT32"),
        row<int64_t>("INT64"),
        row<fp16>("FP16"),
        row<float>("FP32"),
        row<double>("FP64"),
        { nullptr, nullptr, nullptr }, /* BYTES */
        row<bf16>("BF16"),
    };
    if (dtype < 0 || dtype >= TROUPE_DTYPES || !rows[dtype].name)
        return nullptr;
    return &rows[dtype];
}

} // namespace

/* ---- the parser ------------------------------------------------------------------------------ */

struct trp_json_parser {
    simdjson::dom::parser simd;
    trp_buf mended;
    size_t bytes_max;
    uint32_t depth_max;
    uint32_t small_texts; /* in a row */
    size_t longest;       /* text since its memory was looked at last */

    explicit trp_json_parser(size_t mended_max) : simd(mended_max)
    {
    }
};

trp_status trp_json_parser_create(size_t bytes_max, uint32_t depth_max,
                                  struct trp_json_parser **out_parser, struct trp_error *err)
{
    /* Mending makes a text longer by half at most ("NaN," gets two quotes); simdjson's indices
     * have 32 bits. */
    const size_t largest = simdjson::SIMDJSON_MAXSIZE_BYTES / 2 - TRP_JSON_PADDING;
    bytes_max = bytes_max < largest ? bytes_max : largest;
    const size_t mended_max = bytes_max * 2 + TRP_JSON_PADDING;
    *out_parser = new (std::nothrow) trp_json_parser(mended_max);
    if (!*out_parser)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "JSON parser");
    trp_buf_init(&(*out_parser)->mended, trp_heap(), mended_max);
    (*out_parser)->bytes_max = bytes_max;
    (*out_parser)->small_texts = 0;
    (*out_parser)->longest = 0;
    (*out_parser)->depth_max = depth_max < TRP_JSON_DEPTH_MAX ? depth_max : TRP_JSON_DEPTH_MAX;
    return trp_ok();
}

void trp_json_parser_destroy(struct trp_json_parser *p)
{
    if (!p)
        return;
    trp_buf_deinit(&p->mended);
    delete p;
}

namespace
{

/* Powers of two, so that slowly growing texts do not reallocate each time. */
size_t capacity_for(size_t len)
{
    size_t capacity = CAPACITY_MIN;
    while (capacity < len)
        capacity *= 2;
    return capacity;
}

bool is_worth_shrinking(trp_json_parser *p, size_t len)
{
    const bool small =
        p->simd.capacity() >= CAPACITY_WORTH_SHRINKING && len < p->simd.capacity() / 8;
    p->small_texts = small ? p->small_texts + 1 : 0;
    return p->small_texts >= SMALL_TEXTS_BEFORE_SHRINKING;
}

simdjson::error_code take_capacity(trp_json_parser *p, size_t capacity)
{
    if (capacity > p->simd.max_capacity())
        capacity = p->simd.max_capacity();
    p->small_texts = 0;
    /* simdjson refuses at the depth it is given, we one level below that. */
    const simdjson::error_code refused = p->simd.allocate(capacity, p->depth_max + size_t{ 1 });
    return refused ? refused : p->simd.doc.allocate(capacity);
}

simdjson::error_code make_capacity(trp_json_parser *p, size_t len)
{
    if (len > p->longest)
        p->longest = len;
    const bool fits = p->simd.capacity() > 0 && len <= p->simd.capacity();
    if (fits && !is_worth_shrinking(p, len))
        return simdjson::SUCCESS;
    return take_capacity(p, capacity_for(len));
}

simdjson::error_code parse_once(trp_json_parser *p, trp_str text, bool padded)
{
    const simdjson::error_code refused = make_capacity(p, text.len);
    return refused ? refused : p->simd.parse(text.ptr, text.len, !padded).error();
}

trp_status fail_from(simdjson::error_code e, trp_error *err)
{
    if (e == simdjson::MEMALLOC)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "JSON parser");
    return trp_fail(err, TRP_INVALID_ARGUMENT, "not valid JSON: %s", simdjson::error_message(e));
}

/* The second try, on a text with everything quoted that simdjson cannot read. */
trp_status parse_mended(trp_json_parser *p, trp_str text, simdjson::error_code first,
                        trp_error *err)
{
    bool changed = false;
    trp_buf_reset(&p->mended);
    TRP_CHECK(trp_json_mend(text, p->depth_max, &p->mended, &changed, err));
    if (!changed)
        return fail_from(first, err);
    const trp_str mended = trp_buf_str(&p->mended);
    const simdjson::error_code second = parse_once(p, mended, false);
    return second ? fail_from(second, err) : trp_ok();
}

} // namespace

void trp_json_parser_age(struct trp_json_parser *p)
{
    const size_t capacity = p->simd.capacity();
    if (capacity >= CAPACITY_WORTH_SHRINKING && p->longest < capacity / 8)
        (void)take_capacity(p, capacity_for(p->longest)); /* refused: the next text asks again */
    p->longest = 0;
}

trp_status trp_json_parse(struct trp_json_parser *p, struct trp_str text, bool padded,
                          struct trp_json *out_root, struct trp_error *err)
{
    if (text.len > p->bytes_max)
        return trp_fail_limit(err, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                              "JSON text: %zu bytes, at most %zu are allowed", text.len,
                              p->bytes_max);
    if (text.len == 0)
        text.ptr = "";
    const simdjson::error_code refused = parse_once(p, text, padded && text.len > 0);
    if (refused == simdjson::MEMALLOC)
        return fail_from(refused, err);
    if (refused)
        TRP_CHECK(parse_mended(p, text, refused, err));
    out_root->doc = &p->simd.doc;
    out_root->at = 1; /* 0 is the tape's own root word */
    return trp_ok();
}

/* ---- looking at a value ---------------------------------------------------------------------- */

enum trp_json_type trp_json_type(struct trp_json v)
{
    switch (kind_at(doc_of(v.doc)->tape.get(), v.at)) {
    case K_ARRAY:
        return TRP_JSON_ARRAY;
    case K_OBJECT:
        return TRP_JSON_OBJECT;
    case K_STRING:
        return TRP_JSON_STRING;
    case K_INT:
        return TRP_JSON_INT;
    case K_UINT:
        return TRP_JSON_UINT;
    case K_FLOAT:
        return TRP_JSON_FLOAT;
    case K_TRUE:
    case K_FALSE:
        return TRP_JSON_BOOL;
    default:
        return TRP_JSON_NULL;
    }
}

const char *trp_json_type_name(enum trp_json_type t)
{
    static const char *const names[] = { "null",     "a boolean", "an integer", "an integer",
                                         "a number", "a string",  "an array",   "an object" };
    return static_cast<size_t>(t) < sizeof names / sizeof *names ? names[t] : "unknown";
}

bool trp_json_as_bool(struct trp_json v, bool *out)
{
    const kind k = kind_at(doc_of(v.doc)->tape.get(), v.at);
    if (k != K_TRUE && k != K_FALSE)
        return false;
    *out = k == K_TRUE;
    return true;
}

bool trp_json_as_i64(struct trp_json v, int64_t *out)
{
    const uint64_t *tape = doc_of(v.doc)->tape.get();
    if (kind_at(tape, v.at) != K_INT)
        return false;
    *out = static_cast<int64_t>(tape[v.at + 1]);
    return true;
}

bool trp_json_as_u64(struct trp_json v, uint64_t *out)
{
    const uint64_t *tape = doc_of(v.doc)->tape.get();
    const kind k = kind_at(tape, v.at);
    if (k != K_UINT && (k != K_INT || static_cast<int64_t>(tape[v.at + 1]) < 0))
        return false;
    *out = tape[v.at + 1];
    return true;
}

bool trp_json_as_f64(struct trp_json v, double *out)
{
    const document *doc = doc_of(v.doc);
    const uint64_t *tape = doc->tape.get();
    const kind k = kind_at(tape, v.at);
    if (k == K_STRING)
        return parse_nonfinite(string_at(doc, v.at), out);
    return element<double>::read(k, tape[v.at + 1], out);
}

bool trp_json_as_str(struct trp_json v, struct trp_str *out)
{
    if (trp_json_type(v) != TRP_JSON_STRING)
        return false;
    *out = string_at(doc_of(v.doc), v.at);
    return true;
}

/* ---- walking --------------------------------------------------------------------------------- */

bool trp_json_begin(struct trp_json v, struct trp_json_iter *it)
{
    const uint64_t *tape = doc_of(v.doc)->tape.get();
    const kind k = kind_at(tape, v.at);
    const bool container = k == K_ARRAY || k == K_OBJECT;
    it->doc = v.doc;
    it->is_object = k == K_OBJECT;
    it->at = container ? v.at + 1 : v.at;
    it->end = container ? after(tape, v.at) - 1 : v.at;
    return it->at < it->end;
}

bool trp_json_next(struct trp_json_iter *it, struct trp_str *out_key, struct trp_json *out_value)
{
    if (it->at >= it->end)
        return false;
    const document *doc = doc_of(it->doc);
    if (it->is_object) {
        if (out_key)
            *out_key = string_at(doc, it->at);
        it->at++;
    }
    out_value->doc = it->doc;
    out_value->at = it->at;
    it->at = after(doc->tape.get(), it->at);
    return true;
}

bool trp_json_find(struct trp_json object, const char *key, struct trp_json *out)
{
    struct trp_json_iter it;
    if (!trp_json_begin(object, &it) || !it.is_object)
        return false;
    bool found = false;
    struct trp_str name;
    struct trp_json value;
    while (trp_json_next(&it, &name, &value))
        if (trp_str_is(name, key)) {
            *out = value;
            found = true;
        }
    return found;
}

size_t trp_json_count(struct trp_json v)
{
    constexpr uint64_t saturated = 0xffffff;
    const enum trp_json_type t = trp_json_type(v);
    if (t != TRP_JSON_ARRAY && t != TRP_JSON_OBJECT)
        return 0;
    const uint64_t noted = doc_of(v.doc)->tape[v.at] >> 32 & saturated;
    if (noted < saturated)
        return noted;
    size_t n = 0;
    struct trp_json_iter it;
    struct trp_json child;
    (void)trp_json_begin(v, &it);
    while (trp_json_next(&it, nullptr, &child))
        n++;
    return n;
}

trp_status trp_json_fill(struct trp_json v, int32_t dtype, void *out, size_t count,
                         struct trp_error *err)
{
    const dtype_row *r = row_of(dtype);
    if (!r)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "data type %d has no numbers", dtype);
    return r->fill(doc_of(v.doc), v.at, r->name, out, count, err);
}

trp_status trp_json_each_string(struct trp_json v,
                                trp_status (*each)(void *user, struct trp_str s,
                                                   struct trp_error *err),
                                void *user, struct trp_error *err)
{
    const document *doc = doc_of(v.doc);
    const uint64_t *tape = doc->tape.get();
    const size_t end = after(tape, v.at);
    size_t n = 0;
    for (size_t at = v.at; at < end; at++) {
        const kind k = kind_at(tape, at);
        if (k == K_ARRAY || k == K_ARRAY_END)
            continue;
        if (k != K_STRING) {
            char value[96];
            describe(doc, at, value);
            return trp_fail(err, TRP_INVALID_ARGUMENT, "element %zu: %s, expected a string", n,
                            value);
        }
        TRP_CHECK(each(user, string_at(doc, at), err));
        n++;
    }
    return trp_ok();
}

/* ---- printing -------------------------------------------------------------------------------- */

void trp_json_write_f64(struct trp_buf *b, double v)
{
    char text[TEXT_MAX];
    trp_buf_add(b, text, static_cast<size_t>(write(text, v) - text));
}

void trp_json_write_f32(struct trp_buf *b, float v)
{
    char text[TEXT_MAX];
    trp_buf_add(b, text, static_cast<size_t>(write(text, v) - text));
}

void trp_json_write_values(struct trp_buf *b, int32_t dtype, const void *values, size_t count)
{
    const dtype_row *r = row_of(dtype);
    if (r)
        r->write(b, values, count);
}
