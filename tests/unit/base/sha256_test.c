/* Digests of memory and of files, against the examples of FIPS 180-4. */
#include "base/sha256.h"

#include <string.h>

#include "base/disk.h"
#include "scratch.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define BIG_BYTES 600000u

static void known_texts_have_their_digests(void **state)
{
    (void)state;
    static const char *const rows[][2] = { { "", EMPTY }, { "abc", ABC } };
    struct trp_sha256 digest, parsed;
    char text[TRP_SHA256_TEXT];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(trp_sha256_memory(rows[i][0], strlen(rows[i][0]), &digest, NULL).code,
                         TRP_OK);
        trp_sha256_format(&digest, text);
        assert_string_equal(text, rows[i][1]);
        assert_true(trp_sha256_parse(text, &parsed));
        assert_memory_equal(&parsed, &digest, sizeof digest);
    }
    assert_false(trp_sha256_parse("", &parsed));
    assert_false(trp_sha256_parse(EMPTY "0", &parsed));
    text[5] = 'A';
    assert_false(trp_sha256_parse(text, &parsed));
}

struct paced {
    size_t bytes, most;
};

static bool go_on(void *user, size_t bytes)
{
    struct paced *p = user;
    p->bytes += bytes;
    return p->bytes <= p->most;
}

static void a_file_is_read_in_pieces_as_long_as_somebody_wants(void **state)
{
    (void)state;
    static char data[BIG_BYTES];
    char folder[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 8];
    struct trp_sha256 whole, file;
    struct trp_error err;
    struct paced p = { .most = BIG_BYTES };
    const struct trp_sha256_pace pace = { go_on, &p };
    scratch_folder(folder, "sha");
    (void)snprintf(path, sizeof path, "%s/x", folder);
    memset(data, 'x', sizeof data);
    assert_int_equal(trp_disk_write(path, data, sizeof data, 0644, &err).code, TRP_OK);
    assert_int_equal(trp_sha256_memory(data, sizeof data, &whole, &err).code, TRP_OK);
    assert_int_equal(trp_sha256_file(path, &file, &err).code, TRP_OK);
    assert_memory_equal(&file, &whole, sizeof whole);
    assert_int_equal(trp_sha256_file_paced(path, &pace, &file, &err).code, TRP_OK);
    assert_int_equal(p.bytes, BIG_BYTES);
    p = (struct paced){ .most = 1 };
    assert_int_equal(trp_sha256_file_paced(path, &pace, &file, &err).code, TRP_CANCELLED);
    assert_true(p.bytes < BIG_BYTES);
    assert_int_equal(trp_disk_remove(folder, &err).code, TRP_OK);
    assert_int_equal(trp_sha256_file(path, &file, &err).code, TRP_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_have_their_digests),
        cmocka_unit_test(a_file_is_read_in_pieces_as_long_as_somebody_wants),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
