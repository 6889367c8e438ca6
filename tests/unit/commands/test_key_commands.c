/* SPDX-License-Identifier: MIT */
/* Commands on keys of any type where a transcript against redis-server cannot look: exact times, cold
 * data, sizes, what a crash leaves. */
#include "unit/commands/session_fixture.h"

/* ---- Time, names, encodings ---------------------------------------------------------------------- */

static void the_time_of_expiry_is_rounded_to_the_nearest_second(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v PXAT 1001499", "+OK");
    assert_reply(f, f->a, "EXPIRETIME k", ":1001");
    assert_reply(f, f->a, "PEXPIRETIME k", ":1001499");
    assert_reply(f, f->a, "PEXPIREAT k 1001500", ":1");
    assert_reply(f, f->a, "EXPIRETIME k", ":1002");
    f->ms.now_ms = 1001501;
    assert_reply(f, f->a, "EXPIRETIME k", ":-2");
}

static void renamenx_takes_the_place_of_a_key_that_has_expired(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET a 1", "+OK");
    assert_reply(f, f->a, "SET b 2 PX 10", "+OK");
    assert_reply(f, f->a, "RENAMENX a b", ":0");
    f->ms.now_ms += 11;
    assert_reply(f, f->a, "RENAMENX a b", ":1");
    assert_reply(f, f->a, "GET b", "\"1\"");
    assert_reply(f, f->a, "TTL b", ":-1");
    assert_reply(f, f->a, "DBSIZE", ":1");
}

static void a_list_has_the_encoding_of_its_size(void **state)
{
    struct session_fixture *f = *state;
    char line[1200] = "RPUSH l ";
    memset(line + strlen(line), 'e', 1000);
    for (int count = 1; count <= 8; count++) {
        fixture_ask(f, f->a, line);
        assert_reply(f, f->a, "OBJECT ENCODING l", "\"listpack\"");
    }
    fixture_ask(f, f->a, line);
    assert_reply(f, f->a, "OBJECT ENCODING l", "\"quicklist\"");
}

/* Everything lies in tables and nothing in memory; each command is then run where it may not wait. */
static void check_cold(struct session_fixture *f, const char *line, const char *reply)
{
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_reply(f, f->a, line, reply);
}

static void cold_keys_are_found_read_and_renamed(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SET n 12");
    fixture_ask(f, f->a, "RPUSH l a b");
    fixture_ask(f, f->a, "XADD s 1-1 f v");
    check_cold(f, "OBJECT ENCODING n", "\"int\"");
    check_cold(f, "OBJECT ENCODING l", "\"listpack\"");
    check_cold(f, "OBJECT ENCODING s", "\"stream\"");
    check_cold(f, "OBJECT IDLETIME s", ":0");
    check_cold(f, "OBJECT REFCOUNT n", ":1");
    check_cold(f, "TOUCH l n none", ":2");
    check_cold(f, "RENAMENX l n", ":0");
    check_cold(f, "RENAMENX l m", ":1");
    check_cold(f, "DEL n s", ":2");
    check_cold(f, "RANDOMKEY", "\"m\"");
    check_cold(f, "DEL m", ":1");
    check_cold(f, "RANDOMKEY", "nil");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_time_of_expiry_is_rounded_to_the_nearest_second),
        TEST(renamenx_takes_the_place_of_a_key_that_has_expired),
        TEST(a_list_has_the_encoding_of_its_size),
        TEST(cold_keys_are_found_read_and_renamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
