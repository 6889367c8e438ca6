/* SPDX-License-Identifier: MIT */
/* cordwood: inspects and repairs a database whose server is stopped.
 *
 *      cordwood verify DIR     0: sound, 1: findings or an error, 2: usage
 *      cordwood repair DIR     0: sound now, 1: not, 2: usage */
#include "base/status.h"
#include "lsm/lsm.h"
#include "types/store.h"
#include "types/store_repair.h"
#include "vfs/vfs.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_SOUND = 0, EXIT_FINDINGS = 1, EXIT_USAGE = 2 };

static const char USAGE[] =
    "cordwood: inspects and repairs a Cordwood database whose server is stopped.\n"
    "\n"
    "  cordwood verify DIR   reads every file of the database in DIR, checks all checksums and\n"
    "                        invariants, and names what is damaged; changes nothing\n"
    "  cordwood repair DIR   makes a damaged database open again: cuts the log before the damage,\n"
    "                        drops damaged tables, keeps damaged files in DIR/lost, and says what\n"
    "                        was lost\n"
    "  cordwood help         this text\n"
    "\n"
    "Exit code: 0 sound (or sound now), 1 damaged or failed, 2 wrong usage.\n";

static int fail(const char *directory, enum status status)
{
    const char *text = status_text(status);
    if (status == STATUS_NOT_FOUND)
        text = "no database is there";
    if (status == STATUS_BUSY)
        text = "in use; stop the server first";
    fprintf(stderr, "cordwood: %s: %s\n", directory, text);
    return EXIT_FINDINGS;
}

struct summary {
    size_t file_count, finding_count;
};

static void print_finding(void *context, const char *file, const char *finding)
{
    struct summary *summary = context;
    summary->file_count++;
    summary->finding_count += finding != NULL;
    printf("%s: %s\n", file, finding ? finding : "ok");
}

static int verify(const struct env *env, const char *directory)
{
    struct summary summary = {0};
    enum status status = lsm_verify(env, directory, store_codecs, print_finding, &summary);
    if (status == STATUS_UNSUPPORTED && summary.finding_count > 0) {
        printf("%s: this program does not know how to read %zu of its tables; the rest is sound.\n",
               directory, summary.finding_count);
        return EXIT_FINDINGS;
    }
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return fail(directory, status);
    if (summary.finding_count == 0) {
        printf("%s is sound: %zu files.\n", directory, summary.file_count);
        return EXIT_SOUND;
    }
    printf("%s is damaged: %zu findings. `cordwood repair %s` saves what is sound.\n", directory,
           summary.finding_count, directory);
    return EXIT_FINDINGS;
}

static void print_line(void *context, const char *line)
{
    (void)context;
    printf("%s\n", line);
}

static int repair(const struct env *env, const char *directory)
{
    enum status status = lsm_repair(env, directory, store_codecs, print_line, NULL);
    if (status != STATUS_OK)
        return fail(directory, status);
    status = lsm_verify(env, directory, store_codecs, NULL, NULL);
    if (status == STATUS_OK)
        status = store_repair(env, directory, print_line, NULL);
    if (status != STATUS_OK)
        return fail(directory, status);
    printf("%s is sound.\n", directory);
    return EXIT_SOUND;
}

int main(int argument_count, char **arguments)
{
    const char *command = argument_count > 1 ? arguments[1] : "";
    bool is_verify = strcmp(command, "verify") == 0, is_repair = strcmp(command, "repair") == 0;
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0) {
        fputs(USAGE, stdout);
        return EXIT_SOUND;
    }
    if (argument_count != 3 || (!is_verify && !is_repair)) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    struct env env;
    struct vfs *vfs = vfs_posix_create();
    env_init_posix(&env, vfs);
    int code = is_verify ? verify(&env, arguments[2]) : repair(&env, arguments[2]);
    vfs_destroy(vfs);
    return code;
}
