/* SPDX-License-Identifier: MIT */
/* The configuration. The first byte chooses what the rest is: 0: a file; 1: a file that others include;
 * 2: words of the command line, a line each; 3: words of CONFIG SET, a line each. Parsed or refused with
 * a sentence; every value that was taken reads back as itself; CONFIG SET takes all or nothing. */
#include "fuzz/fuzz.h"

#include "commands/config.h"
#include "unit/lsm/memory_env.h"

enum { WORDS_MAX = 64 };

static const char *const seeds[] = {
    "0# comment\nport 6379\nbind 127.0.0.1 -::1\nappendfsync always\n",
    "0requirepass \"a \\x41\\n\\\"\"\nsave \"\"\ndir 'it\\'s'\n",
    "0client-output-buffer-limit normal 1mb 2kb 3 slave 1 2 3\nlog-max-future 10m\n",
    "0include other.conf\n",
    "1timeout 5\ninclude b.conf\n",
    "1include c.conf\nport 1\n",
    "2a.conf\n--port\n77\n--bind\n1.2.3.4\n::1\n--save\n\n",
    "2--maxclients\n5\n--",
    "3timeout\n5\nlog-max-message\n2mb\nappendfsync\nalways\nport\n1\n",
    "3client-output-buffer-limit\nnormal 1 2 3\nmaxclients\n0\n",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof(seeds) / sizeof(*seeds), index, out);
}

static void write_file(struct vfs *vfs, const char *path, struct slice text)
{
    struct vfs_file *file;
    fuzz_require(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE, &file) == STATUS_OK);
    fuzz_require(text.size == 0 || vfs_write_at(file, 0, text.data, text.size) == STATUS_OK);
    vfs_close(file);
}

static void all_values(struct config *config, struct buffer *values)
{
    buffer_clear(values);
    for (int i = 0; i < CONFIG_COUNT; i++) {
        buffer_append_text(values, config_name_text(i));
        buffer_append_byte(values, ' ');
        config_get_text(config, i, values);
        buffer_append_byte(values, '\n');
    }
}

static void load(struct config *config, struct slice input, bool includes, struct buffer *error)
{
    struct vfs *vfs = vfs_memory_create();
    bool ok;
    if (includes) {
        write_file(vfs, "b.conf", input);
        write_file(vfs, "c.conf", slice_from("include b.conf\ntimeout 9\n"));
        write_file(vfs, "a.conf", slice_from("hz 7\ninclude b.conf\n"));
        ok = config_load_file(config, vfs, "a.conf", error);
        fuzz_require(config_integer(config, CONFIG_hz) == 7 || input.size > 0);
    } else {
        ok = config_load_text(config, NULL, "fuzz", input, error);
    }
    fuzz_require(ok == (error->size == 0));
    vfs_destroy(vfs);
}

/* Lines of the input, each with its zero byte. */
static size_t split(struct slice input, struct buffer *bytes, size_t starts[WORDS_MAX])
{
    size_t count = 0;
    while (input.size > 0 && count < WORDS_MAX) {
        const uint8_t *end = memchr(input.data, '\n', input.size);
        size_t size = end ? (size_t)(end - input.data) : input.size;
        starts[count++] = bytes->size;
        buffer_append(bytes, input.data, size);
        buffer_append_byte(bytes, 0);
        input = slice_skip(input, end ? size + 1 : size);
    }
    return count;
}

static void load_flags(struct config *config, struct slice input, struct buffer *error)
{
    struct vfs *vfs = vfs_memory_create();
    struct buffer bytes = {0};
    size_t starts[WORDS_MAX], count = split(input, &bytes, starts);
    char *words[WORDS_MAX];
    for (size_t i = 0; i < count; i++)
        words[i] = (char *)bytes.data + starts[i];
    write_file(vfs, "a.conf", slice_from("port 1234\n"));
    bool ok = config_load_flags(config, vfs, (int)count, words, error);
    fuzz_require(ok == (error->size == 0));
    buffer_release(&bytes);
    vfs_destroy(vfs);
}

static void set_all(struct config *config, struct slice input, struct buffer *error)
{
    struct buffer bytes = {0}, before = {0}, after = {0};
    size_t starts[WORDS_MAX], count = split(input, &bytes, starts) & ~(size_t)1;
    struct slice words[WORDS_MAX];
    for (size_t i = 0; i < count; i++)
        words[i] = slice_from((char *)bytes.data + starts[i]);
    all_values(config, &before);
    bool ok = config_set_all(config, words, count, error);
    all_values(config, &after);
    fuzz_require(ok == (error->size == 0));
    fuzz_require(ok || slice_equal(buffer_slice(&before), buffer_slice(&after)));
    buffer_release(&bytes);
    buffer_release(&before);
    buffer_release(&after);
}

/* Each value, set again, is itself. */
static void check_values(struct config *config)
{
    struct buffer error = {0}, value = {0}, again = {0};
    for (int i = 0; i < CONFIG_COUNT; i++) {
        struct slice name = slice_from(config_name_text(i));
        buffer_clear(&value);
        buffer_clear(&again);
        config_get_text(config, i, &value);
        fuzz_require(config_set(config, name, buffer_slice(&value), true, &error));
        fuzz_require(config_get(config, name, &again));
        fuzz_require(slice_equal(buffer_slice(&value), buffer_slice(&again)));
    }
    buffer_release(&error);
    buffer_release(&value);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    unsigned choice = fuzz_below(&input, 4);
    struct config *config = config_create();
    struct buffer error = {0};
    if (choice < 2)
        load(config, input, choice == 1, &error);
    else if (choice == 2)
        load_flags(config, input, &error);
    else
        set_all(config, input, &error);
    check_values(config);
    buffer_release(&error);
    config_destroy(config);
    return 0;
}
