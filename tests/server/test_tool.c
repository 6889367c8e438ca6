/* SPDX-License-Identifier: MIT */
/* The program `cordwood` on real files: what it prints and how it exits. */
#include "lib/soundness.h"
#include "lib/temp_directory.h"
#include "lib/test_server.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { OUTPUT_BYTES = 16384 };

struct fixture {
    char directory[TEMP_DIRECTORY_BYTES];
    char output[OUTPUT_BYTES]; /* of the last run, stdout and stderr */
};

/* The program lies beside the server's. */
static int run(struct fixture *f, const char *arguments)
{
    char program[4096], command[8192];
    test_server_find_program(program, sizeof(program));
    size_t length = strlen(program);
    assert_true(length > 7 && strcmp(program + length - 7, "-server") == 0);
    program[length - 7] = 0;
    snprintf(command, sizeof(command), "'%s' %s 2>&1", program, arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t got = fread(f->output, 1, sizeof(f->output) - 1, pipe);
    f->output[got] = 0;
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run_on(struct fixture *f, const char *command)
{
    char arguments[TEMP_DIRECTORY_BYTES + 32];
    snprintf(arguments, sizeof(arguments), "%s '%s'", command, f->directory);
    return run(f, arguments);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct store_options options = {.wal_segment_bytes = 64 << 10};
    struct lsm_report report;
    struct store *store = NULL;
    struct access access;
    struct env env;
    struct vfs *vfs = vfs_posix_create();
    env_init_posix(&env, vfs);
    temp_directory_make(f->directory);
    assert_int_equal(store_open(&env, f->directory, &options, &report, &store), STATUS_OK);
    struct lsm_reader *reader = lsm_reader_create(store_engine(store));
    access_init(&access, store, reader);
    lsm_lock(store_engine(store));
    assert_int_equal(access_begin_write(&access, 0, false, 64, false), STATUS_OK);
    string_set(&access, slice_from("key"), slice_from("value"), NULL,
               &(struct string_set_options){0});
    access_end(&access);
    lsm_unlock(store_engine(store));
    access_release(&access);
    lsm_reader_destroy(reader);
    require_sound_store(store, "before a close");
    assert_int_equal(store_close(store), STATUS_OK);
    vfs_destroy(vfs);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    temp_directory_remove(f->directory);
    free(f);
    return 0;
}

static void list_table(void *context, const char *name)
{
    if (strstr(name, ".cwt"))
        snprintf(context, 64, "%s", name);
}

static void damage_a_table(struct fixture *f, char name[64])
{
    char path[TEMP_DIRECTORY_BYTES + 80];
    struct vfs *vfs = vfs_posix_create();
    name[0] = 0;
    assert_int_equal(vfs->ops->list(vfs, f->directory, list_table, name), STATUS_OK);
    assert_true(name[0] != 0);
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 20, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    vfs_destroy(vfs);
}

static void a_sound_database_is_told_so(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_on(f, "verify"), 0);
    assert_non_null(strstr(f->output, "is sound"));
    assert_non_null(strstr(f->output, "CURRENT: ok"));
    assert_int_equal(run_on(f, "repair"), 0);
    assert_non_null(strstr(f->output, "nothing was changed"));
}

static void damage_is_named_repaired_and_gone(void **state)
{
    struct fixture *f = *state;
    char name[64];
    damage_a_table(f, name);
    assert_int_equal(run_on(f, "verify"), 1);
    assert_non_null(strstr(f->output, name));
    assert_non_null(strstr(f->output, "is damaged"));
    assert_int_equal(run_on(f, "repair"), 0);
    assert_non_null(strstr(f->output, name));
    assert_non_null(strstr(f->output, "is dropped"));
    assert_non_null(strstr(f->output, "is sound"));
    assert_int_equal(run_on(f, "verify"), 0);
}

static void wrong_usage_and_no_database_are_told_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, ""), 2);
    assert_non_null(strstr(f->output, "cordwood verify DIR"));
    assert_int_equal(run(f, "verify"), 2);
    assert_int_equal(run(f, "verify a b"), 2);
    assert_int_equal(run(f, "destroy x"), 2);
    assert_int_equal(run(f, "help"), 0);
    assert_int_equal(run(f, "verify /does/not/exist"), 1);
    assert_non_null(strstr(f->output, "no database is there"));
    assert_int_equal(run(f, "repair /does/not/exist"), 1);
}

static void a_database_in_use_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[TEMP_DIRECTORY_BYTES + 8];
    struct vfs *vfs = vfs_posix_create();
    struct vfs_file *lock = NULL;
    snprintf(path, sizeof(path), "%s/LOCK", f->directory);
    assert_int_equal(vfs->ops->lock(vfs, path, &lock), STATUS_OK);
    assert_int_equal(run_on(f, "verify"), 1);
    assert_non_null(strstr(f->output, "stop the server first"));
    vfs_close(lock);
    vfs_destroy(vfs);
    assert_int_equal(run_on(f, "verify"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_database_is_told_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_named_repaired_and_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_usage_and_no_database_are_told_apart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_database_in_use_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
