/* model/input_kind.c - see input_kind.h. */
#include "model/input_kind.h"

#include "troupe/tensor.h"

#define SIDE_MIN 8 /* what is smaller is no picture */

static const char *const names[TRP_INPUT_KINDS] = { [TRP_INPUT_TENSOR] = "tensor",
                                                    [TRP_INPUT_IMAGE] = "image",
                                                    [TRP_INPUT_TEXT] = "text",
                                                    [TRP_INPUT_AUDIO] = "audio" };

const char *trp_input_kind_name(enum trp_input_kind kind)
{
    return kind < TRP_INPUT_KINDS ? names[kind] : "unknown";
}

enum trp_input_kind trp_input_kind_parse(struct trp_str name)
{
    for (int i = 0; i < TRP_INPUT_KINDS; i++)
        if (trp_str_is_equal_nocase(name, trp_str_of(names[i])))
            return (enum trp_input_kind)i;
    return TRP_INPUT_KINDS;
}

static bool is_float(int32_t dtype)
{
    return dtype == TROUPE_FP16 || dtype == TROUPE_BF16 || dtype == TROUPE_FP32 ||
           dtype == TROUPE_FP64;
}

/* Whether a word stands in the name, in any case of letters, with no letter right before or
 * behind it. */
static bool has_word(struct trp_str name, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= name.len; i++) {
        const char before = i ? (char)(name.ptr[i - 1] | 0x20) : ' ';
        const char behind = i + n < name.len ? (char)(name.ptr[i + n] | 0x20) : ' ';
        if (trp_str_is_equal_nocase(trp_str_make(name.ptr + i, n), trp_str_of(word)) &&
            !(before >= 'a' && before <= 'z') && !(behind >= 'a' && behind <= 'z'))
            return true;
    }
    return false;
}

static bool has_any(struct trp_str name, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_word(name, words[i]))
            return true;
    return false;
}

static bool is_tokens(const struct trp_io *io)
{
    static const char *const words[] = { "input_ids", "token_ids", "tokens", "token_type_ids",
                                         "attention_mask" };
    return (io->dtype == TROUPE_INT32 || io->dtype == TROUPE_INT64) &&
           (io->any_rank || io->rank == 1 || io->rank == 2) &&
           has_any(io->name, words, ARRAY_LEN(words));
}

static bool is_sound(const struct trp_io *io)
{
    static const char *const words[] = { "audio", "waveform", "wav",     "speech",
                                         "pcm",   "sound",    "samples", "audio_signal" };
    return (is_float(io->dtype) || io->dtype == TROUPE_INT16) &&
           (io->any_rank || (io->rank >= 1 && io->rank <= 3)) &&
           has_any(io->name, words, ARRAY_LEN(words));
}

static bool is_side(int64_t size)
{
    return size < 0 || size >= SIDE_MIN;
}

static bool is_picture(const struct trp_io *io)
{
    if (io->any_rank || (io->rank != 3 && io->rank != 4) ||
        !(io->dtype == TROUPE_UINT8 || is_float(io->dtype)))
        return false;
    const int64_t *d = io->rank == 4 ? io->dims + 1 : io->dims;
    const bool is_front = d[0] == 3 || d[0] == 4 || (io->rank == 4 && d[0] == 1);
    const bool is_behind = d[2] == 3 || d[2] == 4 || (io->rank == 4 && d[2] == 1);
    return (is_front && is_side(d[1]) && is_side(d[2])) ||
           (is_behind && is_side(d[0]) && is_side(d[1]));
}

enum trp_input_kind trp_input_kind_derive(const struct trp_io *io)
{
    if (io->dtype == TROUPE_BYTES || is_tokens(io))
        return TRP_INPUT_TEXT;
    if (is_sound(io))
        return TRP_INPUT_AUDIO;
    return is_picture(io) ? TRP_INPUT_IMAGE : TRP_INPUT_TENSOR;
}
