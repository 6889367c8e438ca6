/* SPDX-License-Identifier: MIT */
/* What a server that cannot start says, where that depends on how it was built. */
#include "server/server.h"

#include "lsm/compression.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void without_zstandard_cold_compression_zstd_is_refused_with_a_sentence(void **state)
{
    (void)state;
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct config *config = config_create();
    struct buffer error = {0};
    assert_true(
        config_set(config, slice_from("cold-compression"), slice_from("zstd"), true, &error));
    compression_hide_zstd(true);
    struct server *server =
        server_create(&(struct server_options){.env = &env, .config = config}, &error);
    compression_hide_zstd(false);
    assert_null(server);
    buffer_append_byte(&error, 0);
    assert_non_null(strstr((const char *)error.data,
                           "cold-compression zstd: this server was built without Zstandard."));
    assert_non_null(strstr((const char *)error.data, "or choose lz4"));
    buffer_release(&error);
    config_destroy(config);
    vfs_destroy(vfs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_zstandard_cold_compression_zstd_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
