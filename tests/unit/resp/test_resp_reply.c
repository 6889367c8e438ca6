/* SPDX-License-Identifier: MIT */
/* The tests' own reader of replies reads what the writer writes. */
#include "lib/resp_reply.h"
#include "resp/resp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void check(const char *wire, const char *shown)
{
    struct resp_reply reply = {0};
    size_t size = strlen(wire), consumed = 0;

    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(resp_reply_read(slice_make(wire, cut), &reply, &consumed), REPLY_PARTIAL);
    assert_int_equal(resp_reply_read(slice_make(wire, size), &reply, &consumed), REPLY_COMPLETE);
    assert_int_equal(consumed, size);
    if (!resp_reply_is(&reply, shown)) {
        struct buffer text = {0};
        resp_reply_show(&reply, &text);
        buffer_append_byte(&text, 0);
        assert_string_equal((char *)text.data, shown);
    }
    resp_reply_release(&reply);
}

static void every_type_is_read_and_shown(void **state)
{
    (void)state;
    check("+OK\r\n", "+OK");
    check("-ERR no\r\n", "-ERR no");
    check(":-5\r\n", ":-5");
    check("$3\r\na\"\n\r\n", "\"a\\\"\\n\"");
    check("$0\r\n\r\n", "\"\"");
    check("$-1\r\n", "nil");
    check("*-1\r\n", "nil-array");
    check("_\r\n", "nil");
    check("*0\r\n", "[]");
    check("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", "[:1, [\"a\"]]");
    check("%1\r\n+k\r\n:1\r\n", "{+k: :1}");
    check("~1\r\n#t\r\n", "~[#t]");
    check(">1\r\n#f\r\n", ">[#f]");
    check(",1.5\r\n", ",1.5");
    check("(12345678901234567890\r\n", "(12345678901234567890");
    check("=7\r\ntxt:a\xff"
          "b\r\n",
          "=txt \"a\\xffb\"");
}

static void what_is_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const wires[] = {"\r\n",          "x\r\n",           ":x\r\n",     ": 1\r\n",
                                        "$-2\r\n",       "$1\r\nabc\r\n",   "*-2\r\n",    "#x\r\n",
                                        "=3\r\nabc\r\n", "=5\r\nabcde\r\n", "*1\r\n?\r\n"};

    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        struct resp_reply reply = {0};
        size_t consumed;
        assert_int_equal(resp_reply_read(slice_from(wires[i]), &reply, &consumed), REPLY_MALFORMED);
        assert_null(reply.children);
    }
}

static void the_writer_is_read(void **state)
{
    (void)state;
    struct buffer wire = {0};
    struct resp_writer w = {&wire, 3};

    resp_array(&w, 6);
    resp_bulk_u64(&w, UINT64_MAX);
    resp_double(&w, 0.25);
    resp_boolean(&w, true);
    resp_null(&w);
    resp_verbatim(&w, "txt", slice_from("x"));
    resp_map(&w, 1);
    resp_simple(&w, "k");
    resp_set(&w, 0);
    buffer_append_byte(&wire, 0);
    check((char *)wire.data, "[\"18446744073709551615\", ,0.25, #t, nil, =txt \"x\", {+k: ~[]}]");
    buffer_release(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read_and_shown),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(the_writer_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
