/* SPDX-License-Identifier: MIT */
#include "server/http_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum http_result parse(const char *text, struct http_request *request)
{
    return http_request_parse(slice_from(text), request);
}

static void assert_parsed(const char *text, const char *method, const char *path)
{
    struct http_request request;
    assert_int_equal(parse(text, &request), HTTP_COMPLETE);
    assert_true(slice_equal(request.method, slice_from(method)));
    assert_true(slice_equal(request.path, slice_from(path)));
}

static void a_head_gives_method_and_path(void **state)
{
    (void)state;
    assert_parsed("GET /metrics HTTP/1.1\r\nHost: a:1\r\nAccept:\ttext/plain \xc3\xa4\r\n\r\nrest",
                  "GET", "/metrics");
    assert_parsed("HEAD /metrics?a=b?c HTTP/1.0\n\n", "HEAD", "/metrics");
    assert_parsed("OPTIONS * HTTP/1.1\r\nEmpty:\r\n\r\n", "OPTIONS", "*");
    assert_parsed("get / HTTP/1.9\r\n\r\n", "get", "/");
}

static void every_beginning_of_a_head_is_partial(void **state)
{
    (void)state;
    const char *text = "GET /metrics HTTP/1.1\r\nHost: a:1\r\n\r\n";
    for (size_t size = 0; size < strlen(text); size++) {
        struct http_request request;
        char *copy = malloc(size + 1); /* of its own, so that a sanitizer sees a read behind it */
        memcpy(copy, text, size);
        assert_int_equal(http_request_parse(slice_make(copy, size), &request), HTTP_PARTIAL);
        free(copy);
    }
}

static void what_is_no_http_is_bad(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\r\n",
        "PING\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "GET /metrics\r\n",
        "GET  /metrics HTTP/1.1\r\n",
        "GET /metrics HTTP/1.1 \r\n",
        "GET /metrics HTTP/2.0\r\n",
        "GET /metrics HTTP/1.x\r\n",
        "GET /metrics http/1.1\r\n",
        " /metrics HTTP/1.1\r\n",
        "G@T /metrics HTTP/1.1\r\n",
        "GET metrics HTTP/1.1\r\n",
        "GET ** HTTP/1.1\r\n",
        "GET /\x01 HTTP/1.1\r\n",
        "GET /\x80 HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n",
        "GET / HTTP/1.1\r\n: no name\r\n",
        "GET / HTTP/1.1\r\n folded: line\r\n",
        "GET / HTTP/1.1\r\nName : space\r\n",
        "GET / HTTP/1.1\r\nName: \x01\r\n",
        "GET / HTTP/1.1\r\nName: \x7f\r\n",
        "GET / HTTP/1.1\r\nName: a\rb\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct http_request request;
        if (parse(texts[i], &request) != HTTP_BAD)
            fail_msg("%s", texts[i]);
    }
    struct http_request request;
    assert_int_equal(http_request_parse(slice_make("GET\0 / HTTP/1.1\r\n", 17), &request),
                     HTTP_BAD);
}

static void a_head_has_at_most_8_kib(void **state)
{
    (void)state;
    char text[HTTP_HEAD_BYTES_MAX + 64];
    struct http_request request;
    int head = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nName: ");
    memset(text + head, 'x', sizeof text - (size_t)head);
    assert_int_equal(http_request_parse(slice_make(text, HTTP_HEAD_BYTES_MAX - 1), &request),
                     HTTP_PARTIAL);
    assert_int_equal(http_request_parse(slice_make(text, HTTP_HEAD_BYTES_MAX), &request), HTTP_BAD);
    memcpy(text + HTTP_HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(http_request_parse(slice_make(text, HTTP_HEAD_BYTES_MAX), &request),
                     HTTP_COMPLETE);
    assert_int_equal(http_request_parse(slice_make(text, sizeof text), &request), HTTP_COMPLETE);
    memcpy(text + HTTP_HEAD_BYTES_MAX - 4, "x\r\n\r\n", 5);
    assert_int_equal(http_request_parse(slice_make(text, sizeof text), &request), HTTP_BAD);
    memset(text, 'x', sizeof text); /* no line at all */
    assert_int_equal(http_request_parse(slice_make(text, sizeof text), &request), HTTP_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_gives_method_and_path),
        cmocka_unit_test(every_beginning_of_a_head_is_partial),
        cmocka_unit_test(what_is_no_http_is_bad),
        cmocka_unit_test(a_head_has_at_most_8_kib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
