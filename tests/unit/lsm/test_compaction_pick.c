/* SPDX-License-Identifier: MIT */
/* Text in, text out. A version is written as
 *
 *     tree 0 leveled      or runs; "zstd": its cold tables are
 *     L0 9: a-m 10        level, number, keys (inclusive), size in MiB; "+d" has deletions,
 *                         "+r" only range deletions
 *     L1 3: a-c) 64 @70   keys up to c exclusive; newest LSN 70 (else 50)
 *
 * and the pick is described as compaction_pick_describe does. */
#include "lsm/compaction_pick.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

struct fixture {
    struct lsm_options options;
    struct version version;
    struct compaction_memory memory;
    struct range_delete ranges[8];
};

static void add_table(struct fixture *fixture, const char *line)
{
    unsigned tree = fixture->version.tree_count - 1, level;
    unsigned long long number, lsn = 50;
    double mib;
    char from[16], to[16];
    assert_int_equal(sscanf(line, " L%u %llu: %15[^-]-%15s %lf", &level, &number, from, to, &mib),
                     5);
    if (strchr(line, '@'))
        lsn = strtoull(strchr(line, '@') + 1, NULL, 10);
    struct table_ref *ref = memory_zeroed(1, sizeof(*ref));
    ref->number = number;
    ref->properties.file_bytes = (uint64_t)(mib * MIB);
    ref->properties.lsn_min = 1;
    ref->properties.entry_count = strstr(line, "+r") ? 0 : 1;
    ref->properties.lsn_max = lsn;
    ref->properties.delete_count = strstr(line, "+d") ? 1 : 0;
    ref->properties.largest_is_exclusive = strchr(to, ')') != NULL;
    to[strcspn(to, ")")] = 0;
    buffer_append_text(&ref->properties.smallest, from);
    buffer_append_text(&ref->properties.largest, to);
    struct version_level *tables = &fixture->version.trees[tree].levels[level];
    tables->tables = memory_resize(tables->tables, (tables->count + 1) * sizeof(tables->tables[0]));
    tables->tables[tables->count++] = ref;
}

static void parse(struct fixture *fixture, const char *text)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->options.table_bytes_max = 64 * MIB;
    char *copy = memory_copy(text, strlen(text) + 1), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "tree", 4) == 0) {
            struct lsm_tree_options *tree = &fixture->options.trees[fixture->version.tree_count++];
            tree->compaction = strstr(line, "runs") ? LSM_TIME_RUNS : LSM_LEVELED;
            tree->cold_compression = strstr(line, "zstd") ? LSM_ZSTD : LSM_LZ4;
            fixture->options.tree_count = fixture->version.tree_count;
        } else {
            add_table(fixture, line);
        }
    }
    memory_free(copy);
}

static void release(struct fixture *fixture)
{
    for (unsigned tree = 0; tree < fixture->version.tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            struct version_level *level = &fixture->version.trees[tree].levels[depth];
            for (size_t i = 0; i < level->count; i++) {
                table_properties_release(&level->tables[i]->properties);
                memory_free(level->tables[i]);
            }
            memory_free(level->tables);
        }
    }
    compaction_memory_release(&fixture->memory);
}

static void assert_next_pick(struct fixture *fixture, struct compaction_request request,
                             const char *expected)
{
    request.options = &fixture->options;
    request.memory = &fixture->memory;
    struct compaction_pick *pick = compaction_pick_create(&fixture->version, &request);
    struct buffer text = {0};
    if (pick)
        compaction_pick_describe(pick, &text);
    else
        buffer_append_text(&text, "none");
    buffer_append_byte(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    buffer_release(&text);
    compaction_pick_destroy(pick);
}

static void assert_pick(const char *version, const char *expected)
{
    struct fixture fixture;
    parse(&fixture, version);
    assert_next_pick(&fixture,
                     (struct compaction_request){.oldest_read = UINT64_MAX, .durable = 1000},
                     expected);
    release(&fixture);
}

static void assert_quiet_pick(const char *version, lsn_t oldest_read, const char *expected)
{
    struct fixture fixture;
    parse(&fixture, version);
    const struct compaction_request request = {
        .oldest_read = oldest_read, .durable = 1000, .quiet = true};
    assert_next_pick(&fixture, request, expected);
    release(&fixture);
}

static void level_0_waits_for_four_tables(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\nL0 3: a-z 1\nL0 2: a-z 1\nL0 1: a-z 1", "none");
    assert_pick("tree 0 leveled\nL0 4: a-z 1\nL0 3: a-z 1\nL0 2: a-z 1\nL0 1: a-z 1",
                "tree 0: merge L0:4 L0:3 L0:2 L0:1 -> L1");
}

static void overlapping_tables_below_join(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\n"
                "L0 9: d-f 5\nL0 8: e-g 5\nL0 7: d-d 5\nL0 6: f-k 5\n"
                "L1 1: a-c 64\nL1 2: c-d 64\nL1 3: h-i 64\nL1 4: l-z 64",
                "tree 0: merge L0:9 L0:8 L0:7 L0:6 L1:2 L1:3 -> L1");
}

static void little_over_much_is_merged_with_itself_first(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\n"
                "L0 9: d-f 1\nL0 8: e-g 1\nL0 7: d-d 1\nL0 6: f-k 4\n"
                "L1 1: a-f 64\nL1 2: g-z 1",
                "tree 0: merge L0:9 L0:8 L0:7 L0:6 -> L0");
    assert_pick("tree 0 leveled\n"
                "L0 9: d-f 1\nL0 8: e-g 1\nL0 7: d-d 1\nL0 6: f-k 6\n"
                "L1 1: a-f 64\nL1 2: g-z 1",
                "tree 0: merge L0:9 L0:8 L0:7 L0:6 L1:1 L1:2 -> L1");
}

static void full_level_gives_its_tables_in_turn(void **state)
{
    (void)state;
    struct fixture fixture;
    parse(&fixture, "tree 0 leveled\n"
                    "L1 1: a-b 64\nL1 2: c-d 64\nL1 3: e-f 64\nL1 4: g-h 64\nL1 5: i-j 64\n"
                    "L2 6: a-c 64\nL2 7: d-e 64\nL2 8: f-z 64");
    const struct compaction_request request = {.oldest_read = UINT64_MAX, .durable = 1000};
    assert_next_pick(&fixture, request, "tree 0: merge L1:1 L2:6 -> L2");
    assert_next_pick(&fixture, request, "tree 0: merge L1:2 L2:6 L2:7 -> L2");
    assert_next_pick(&fixture, request, "tree 0: merge L1:3 L2:7 L2:8 -> L2");
    assert_next_pick(&fixture, request, "tree 0: merge L1:4 L2:8 -> L2");
    assert_next_pick(&fixture, request, "tree 0: merge L1:5 L2:8 -> L2");
    assert_next_pick(&fixture, request, "tree 0: merge L1:1 L2:6 -> L2");
    release(&fixture);
}

static void a_turn_begins_anew_when_its_next_table_is_gone(void **state)
{
    (void)state;
    struct fixture fixture;
    parse(&fixture, "tree 0 leveled\nL1 1: a-b 200\nL1 2: c-d 200\nL2 6: a-z 64");
    const struct compaction_request request = {.oldest_read = UINT64_MAX, .durable = 1000};
    assert_next_pick(&fixture, request, "tree 0: merge L1:1 L2:6 -> L2");
    struct table_ref *last = fixture.version.trees[0].levels[1].tables[1];
    fixture.version.trees[0].levels[1].count = 1;
    fixture.version.trees[0].levels[1].tables[0]->properties.file_bytes *= 2;
    assert_next_pick(&fixture, request, "tree 0: merge L1:1 L2:6 -> L2");
    table_properties_release(&last->properties);
    memory_free(last);
    release(&fixture);
}

static void lone_table_is_moved_unless_it_has_deletions(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\n"
                "L1 1: a-b 300\nL2 6: c-d 64",
                "tree 0: move L1:1 -> L2");
    assert_pick("tree 0 leveled\n"
                "L1 1: a-b 300 +d\nL2 6: c-d 64",
                "tree 0: merge L1:1 -> L2");
}

static void flushed_tables_that_overlap_nothing_are_moved(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\nL0 4: g-h 4\nL0 3: e-f 4\nL0 2: c-d 4\nL0 1: a-b 4\nL1 9: i-k 64",
                "tree 0: move L0:4 L0:3 L0:2 L0:1 -> L1");
    /* One overlaps a table below, two each other, one has deletions, one is small. */
    assert_pick("tree 0 leveled\nL0 6: r-s 4\nL0 5: g-h 4\nL0 4: e-f 4\nL0 3: e-e 4\n"
                "L0 2: n-o 4 +d\nL0 1: p-q 3\nL1 9: h-k 64",
                "tree 0: move L0:6 -> L1");
    assert_pick("tree 0 leveled\nL0 4: g-h 3\nL0 3: e-f 3\nL0 2: c-d 3\nL0 1: a-b 3",
                "tree 0: merge L0:4 L0:3 L0:2 L0:1 -> L1");
}

static void last_level_has_nowhere_to_go(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\nL6 1: a-b 900000000000", "none");
}

static void most_urgent_tree_goes_first(void **state)
{
    (void)state;
    assert_pick("tree 0 leveled\nL0 4: a-z 1\nL0 3: a-z 1\nL0 2: a-z 1\nL0 1: a-z 1\n"
                "tree 1 leveled\nL0 9: a-z 1\nL0 8: a-z 1\nL0 7: a-z 1\nL0 6: a-z 1\nL0 5: a-z 1",
                "tree 1: merge L0:9 L0:8 L0:7 L0:6 L0:5 -> L1");
}

static void eight_runs_are_merged_oldest_first(void **state)
{
    (void)state;
    assert_pick("tree 0 runs\nL0 7: a-z 1\nL0 6: a-z 1\nL0 5: a-z 1\nL0 4: a-z 1\nL0 3: a-z 1\n"
                "L0 2: a-z 1\nL0 1: a-z 1",
                "none");
    assert_pick("tree 0 runs\nL0 9: a-z 1\nL0 8: a-z 1\nL0 7: a-z 1\nL0 6: a-z 1\nL0 5: a-z 1\n"
                "L0 4: a-z 1\nL0 3: a-z 1\nL0 2: a-z 1\nL0 1: a-z 1\nL1 20: a-z 64\nL1 21: a-z 64",
                "tree 0: merge L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
}

/* Of a merged level: what is small and overlaps something small. */
static void small_runs_that_overlap_go_on_to_the_next_level(void **state)
{
    (void)state;
    /* Eight, but one has nothing to be merged with. */
    assert_pick("tree 0 runs\nL1 1: a-b 1\nL1 2: a-c 2\nL1 3: b-c 3\nL1 4: a-f 1\nL1 5: d-e 1\n"
                "L1 6: e-g 1\nL1 7: g-h 1\nL1 8: i-k 1",
                "none");
    /* Large ones do not count, whatever lies under them. */
    assert_pick("tree 0 runs\nL1 1: a-b 1\nL1 2: a-c 2\nL1 3: b-c 3\nL1 4: a-f 1\nL1 5: d-e 1\n"
                "L1 6: e-g 1\nL1 7: g-h 1\nL1 8: a-k 4",
                "none");
    /* The oldest eight, by their LSN. */
    assert_pick(
        "tree 0 runs\nL1 1: a-b 1 @30\nL1 2: a-c 2 @30\nL1 3: b-c 3 @30\nL1 4: a-f 1 @30\n"
        "L1 5: d-e 1 @30\nL1 6: e-g 1 @99\nL1 7: g-h 1 @31\nL1 8: h-k 1 @31\nL1 9: a-k 1 @31\n"
        "L1 10: a-z 64 @20",
        "tree 0: merge L1:9 L1:8 L1:7 L1:5 L1:4 L1:3 L1:2 L1:1 -> L2");
    /* The last level has nowhere to go. */
    assert_pick("tree 0 runs\nL6 1: a-b 1\nL6 2: a-c 2\nL6 3: b-c 3\nL6 4: a-f 1\nL6 5: d-e 1\n"
                "L6 6: e-g 1\nL6 7: g-h 1\nL6 8: a-k 1",
                "none");
}

static void runs_that_follow_each_other_are_moved(void **state)
{
    (void)state;
    assert_pick("tree 0 runs\nL0 8: p-q 16\nL0 7: n-o 16\nL0 6: l-m 16\nL0 5: j-k 16\n"
                "L0 4: h-i 16\nL0 3: f-g 16\nL0 2: d-e 16\nL0 1: b-c 16",
                "tree 0: move L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
    /* One has just enough; one is tiny; one overlaps. */
    assert_pick("tree 0 runs\nL0 8: p-q 16\nL0 7: n-o 16\nL0 6: l-m 16\nL0 5: j-k 16\n"
                "L0 4: h-i 0.5\nL0 3: f-g 16\nL0 2: d-e 16\nL0 1: b-c 16",
                "tree 0: move L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
    assert_pick("tree 0 runs\nL0 8: p-q 16\nL0 7: n-o 16\nL0 6: l-m 16\nL0 5: j-k 16\n"
                "L0 4: h-i 0.49\nL0 3: f-g 16\nL0 2: d-e 16\nL0 1: b-c 16",
                "tree 0: merge L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
    assert_pick("tree 0 runs\nL0 8: p-q 16\nL0 7: n-o 16\nL0 6: l-m 16\nL0 5: j-k 16\n"
                "L0 4: h-j 16\nL0 3: f-g 16\nL0 2: d-e 16\nL0 1: b-c 16",
                "tree 0: merge L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
}

/* What was moved, and is small. */
static void runs_in_a_row_are_joined_when_little_is_written(void **state)
{
    const char *const eight = "tree 0 runs\nL1 8: p-q 1\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 1\n"
                              "L1 4: h-i 1\nL1 3: f-g 1\nL1 2: d-e 1\nL1 1: b-c 1";
    (void)state;
    assert_pick(eight, "none");
    assert_quiet_pick(eight, UINT64_MAX,
                      "tree 0: merge L1:1 L1:2 L1:3 L1:4 L1:5 L1:6 L1:7 L1:8 -> L2");
    /* Seven; a large one, one that overlaps, and a place in another level end a row. */
    assert_quiet_pick(
        "tree 0 runs\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 1\nL1 4: h-i 1\nL1 3: f-g 1\n"
        "L1 2: d-e 1\nL1 1: b-c 1",
        UINT64_MAX, "none");
    assert_quiet_pick(
        "tree 0 runs\nL1 8: p-q 1\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 4\nL1 4: h-i 1\n"
        "L1 3: f-g 1\nL1 2: d-e 1\nL1 1: b-c 1\nL1 9: r-s 1",
        UINT64_MAX, "none");
    assert_quiet_pick(
        "tree 0 runs\nL1 8: p-q 1\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 1\nL1 4: h-j 1\n"
        "L1 3: f-g 1\nL1 2: d-e 1\nL1 1: b-c 1\nL1 9: r-s 1",
        UINT64_MAX, "none");
    assert_quiet_pick(
        "tree 0 runs\nL1 8: p-q 1\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 1\nL2 4: h-i 1\n"
        "L1 3: f-g 1\nL1 2: d-e 1\nL1 1: b-c 1",
        UINT64_MAX, "none");
    /* Behind a large one, whatever that covers; the last level has nowhere to go. */
    assert_quiet_pick(
        "tree 0 runs\nL1 8: p-q 1\nL1 7: n-o 1\nL1 6: l-m 1\nL1 5: j-k 1\nL1 4: h-i 1\n"
        "L1 3: f-g 1\nL1 2: d-e 1\nL1 1: b-c 1\nL1 9: a-g 9",
        UINT64_MAX, "tree 0: merge L1:1 L1:2 L1:3 L1:4 L1:5 L1:6 L1:7 L1:8 -> L2");
    assert_quiet_pick(
        "tree 0 runs\nL6 8: p-q 1\nL6 7: n-o 1\nL6 6: l-m 1\nL6 5: j-k 1\nL6 4: h-i 1\n"
        "L6 3: f-g 1\nL6 2: d-e 1\nL6 1: b-c 1",
        UINT64_MAX, "none");
}

static void many_runs_in_a_row_are_joined_under_load(void **state)
{
    struct buffer version = {0};
    (void)state;
    for (unsigned count = 63; count <= 64; count++) {
        buffer_clear(&version);
        buffer_append_text(&version, "tree 0 runs\n");
        for (unsigned i = 10; i < 10 + count; i++)
            buffer_printf(&version, "L1 %u: a%u-a%u 1\n", i, i, i); /* of one key each */
        buffer_append_byte(&version, 0);
        assert_pick((const char *)version.data,
                    count == 63 ? "none"
                                : "tree 0: merge L1:10 L1:11 L1:12 L1:13 L1:14 L1:15 L1:16 "
                                  "L1:17 -> L2");
    }
    buffer_release(&version);
}

static void large_runs_whose_merge_compresses_them_are_merged(void **state)
{
    (void)state;
    assert_pick("tree 0 runs zstd\nL0 8: p-q 16\nL0 7: n-o 16\nL0 6: l-m 16\nL0 5: j-k 16\n"
                "L0 4: h-i 16\nL0 3: f-g 16\nL0 2: d-e 16\nL0 1: b-c 16",
                "tree 0: merge L0:8 L0:7 L0:6 L0:5 L0:4 L0:3 L0:2 L0:1 -> L1");
    /* Once merged they are left as ever. */
    assert_pick("tree 0 runs zstd\nL1 8: p-q 16\nL1 7: n-o 16\nL1 6: l-m 16\nL1 5: j-k 16\n"
                "L1 4: h-i 16\nL1 3: f-g 16\nL1 2: d-e 16\nL1 1: b-c 16",
                "none");
}

static void request_merges_all_into_one_level(void **state)
{
    (void)state;
    const struct compaction_request request = {
        .everything = true, .oldest_read = UINT64_MAX, .durable = 1000};
    struct fixture fixture;
    parse(&fixture, "tree 0 leveled\nL0 2: a-b 1\nL1 3: a-c 1\nL3 4: a-z 1");
    assert_next_pick(&fixture, request, "tree 0: merge L0:2 L1:3 L3:4 -> L3");
    release(&fixture);
    parse(&fixture, "tree 0 leveled\nL1 3: a-c 1\nL1 2: d-f 1\nL3 4: g-z 1");
    assert_next_pick(&fixture, request, "tree 0: merge L1:3 L1:2 L3:4 -> L3");
    release(&fixture);
    parse(&fixture, "tree 0 leveled\nL3 4: a-z 1\ntree 1 leveled\nL0 8: a-b 1");
    assert_next_pick(&fixture, request, "tree 1: merge L0:8 -> L1");
    release(&fixture);
    parse(&fixture, "tree 0 leveled\nL3 4: a-z 1\nL3 5: zz-zzz 1");
    assert_next_pick(&fixture, request, "none");
    release(&fixture);
    parse(&fixture, "tree 0 runs\nL0 2: a-b 1\nL1 3: a-c 1\nL2 4: a-z 1");
    assert_next_pick(&fixture, request, "tree 0: merge L0:2 L1:3 L2:4 -> L2");
    release(&fixture);
    parse(&fixture, "tree 0 runs\nL2 4: a-z 1");
    assert_next_pick(&fixture, request, "none");
    release(&fixture);
}

/* A deletion of [from, to) at LSN 60; the tables' newest LSN is 50 unless they say otherwise. */
static void assert_pick_under(const char *version, const char *from, const char *to,
                              lsn_t oldest_read, lsn_t durable, const char *expected)
{
    struct fixture fixture;
    parse(&fixture, version);
    fixture.ranges[0] = (struct range_delete){slice_from(from), slice_from(to), 60};
    fixture.ranges[1] = (struct range_delete){slice_from("zz"), slice_from("zzz"), 70};
    const struct compaction_request request = {.oldest_read = oldest_read,
                                               .durable = durable,
                                               .ranges = {fixture.ranges},
                                               .range_counts = {2}};
    assert_next_pick(&fixture, request, expected);
    release(&fixture);
}

static void tables_under_a_range_deletion_are_dropped(void **state)
{
    (void)state;
    const char *version = "tree 0 runs\nL0 5: b-c 1 @80\nL0 4: b-c 1\nL0 3: b-g 1\nL0 2: a-c 1\n"
                          "L1 1: f-g) 1\nL2 7: b-f 1 @59";
    assert_pick_under(version, "b", "g", UINT64_MAX, 1000, "tree 0: drop L0:4 L1:1 L2:7");
    assert_pick_under(version, "b", "g", 60, 61, "tree 0: drop L0:4 L1:1 L2:7");
    /* Somebody reads below it; it is not durable. */
    assert_pick_under(version, "b", "g", 59, 1000, "none");
    assert_pick_under(version, "b", "g", UINT64_MAX, 60, "none");
}

static void range_deletions_with_nothing_to_hide_are_dropped(void **state)
{
    (void)state;
    const char *version = "tree 0 runs\nL0 4: n-p 1 +r\nL1 3: a-f 1 +r @61\nL1 2: c-d 1 +r\n"
                          "L2 1: g-n 1";
    assert_pick_under(version, "y", "z", UINT64_MAX, 1000, "tree 0: drop L1:3 L1:2");
    assert_pick_under(version, "y", "z", 60, 1000, "tree 0: drop L1:2");
    assert_pick_under(version, "y", "z", 49, 1000, "none");
}

/* What was found uncovered is looked through again when more deletions count, or other tables are
 * there. */
static void uncovered_tables_are_looked_through_again_after_a_change(void **state)
{
    (void)state;
    struct fixture fixture;
    parse(&fixture, "tree 0 runs\nL0 5: a-c 1\nL0 4: e-f 1");
    fixture.ranges[0] = (struct range_delete){slice_from("a"), slice_from("b"), 60};
    fixture.ranges[1] = (struct range_delete){slice_from("b"), slice_from("d"), 70};
    struct compaction_request request = {
        .oldest_read = 65, .durable = 1000, .ranges = {fixture.ranges}, .range_counts = {2}};
    assert_next_pick(&fixture, request, "none");
    assert_next_pick(&fixture, request, "none");
    request.oldest_read = 70;
    assert_next_pick(&fixture, request, "tree 0: drop L0:5");
    fixture.ranges[0].lsn = 40; /* nothing is covered now, and that is kept in mind ... */
    assert_next_pick(&fixture, request, "none");
    add_table(&fixture, "L1 6: b-c 1"); /* ... until a table comes */
    assert_next_pick(&fixture, request, "tree 0: drop L1:6");
    release(&fixture);
}

/* Tables that are asked are noted; those with an odd number are dead. */
static unsigned dead_if_odd(void *context, struct table_ref *table, const struct range_map *map)
{
    (void)map;
    buffer_printf(context, " %u", (unsigned)table->number);
    return table->number % 2 ? 50 : 49;
}

static void assert_next_asked(struct fixture *fixture, lsn_t lsn, const char *expected_pick,
                              const char *expected_asked)
{
    struct buffer asked = {0};
    fixture->ranges[0] = (struct range_delete){slice_from("b"), slice_from("d"), lsn};
    const struct compaction_request request = {.oldest_read = UINT64_MAX,
                                               .durable = 1000,
                                               .ranges = {fixture->ranges},
                                               .range_counts = {1},
                                               .dead_percent = dead_if_odd,
                                               .context = &asked};
    assert_next_pick(fixture, request, expected_pick);
    buffer_append_byte(&asked, 0);
    assert_string_equal((const char *)asked.data, expected_asked);
    buffer_release(&asked);
}

static void merged_runs_are_asked_in_turn_for_their_dead_part(void **state)
{
    (void)state;
    struct fixture fixture;
    /* Newest first; flushed runs and those without a deletion over them are not asked. */
    parse(&fixture, "tree 0 runs\nL0 99: a-z 1 @90\nL1 16: a-z 1 @66\nL1 14: e-z 1 @65\n"
                    "L1 12: a-z 1 @64\nL1 10: a-z 1 @63\nL2 8: a-z 1 @62\nL2 6: a-z 1 @61");
    assert_next_asked(&fixture, 70, "none", " 6 8 10 12");
    assert_next_asked(&fixture, 70, "none", ""); /* nothing new */
    assert_next_asked(&fixture, 71, "none", " 6 16");
    assert_next_asked(&fixture, 72, "none", " 6 8 10 12");
    add_table(&fixture, "L1 17: a-z 1 @70");
    assert_next_asked(&fixture, 72, "tree 0: merge L1:17 -> L1", " 6 16 17");
    release(&fixture);
}

/* A third is enough then. */
static unsigned dead_if_old(void *context, struct table_ref *table, const struct range_map *map)
{
    (void)map;
    buffer_printf(context, " %u", (unsigned)table->number);
    return table->number < 10 ? 33 : 32;
}

/* Flushed runs too, a few a pick, until each was asked. */
static void all_runs_are_asked_when_little_is_written(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer asked = {0};
    parse(&fixture, "tree 0 runs\nL0 20: a-z 1 @66\nL0 18: a-z 1 @65\nL1 16: a-z 1 @64\n"
                    "L1 14: a-z 1 @63\nL1 12: a-z 1 @62\nL2 10: a-z 1 @61");
    fixture.ranges[0] = (struct range_delete){slice_from("b"), slice_from("d"), 70};
    struct compaction_request request = {.oldest_read = UINT64_MAX,
                                         .durable = 1000,
                                         .ranges = {fixture.ranges},
                                         .range_counts = {1},
                                         .dead_percent = dead_if_old,
                                         .context = &asked,
                                         .quiet = true};
    assert_next_pick(&fixture, request, "none");
    assert_true(fixture.memory.is_asking);
    assert_next_pick(&fixture, request, "none");
    assert_false(fixture.memory.is_asking);
    assert_next_pick(&fixture, request, "none");
    buffer_append_byte(&asked, 0);
    assert_string_equal((const char *)asked.data, " 10 12 14 16 10 18 20");
    add_table(&fixture, "L1 9: a-z 1");
    assert_next_pick(&fixture, request, "tree 0: merge L1:9 -> L1");
    request.quiet = false;
    assert_next_pick(&fixture, request, "none");
    buffer_release(&asked);
    release(&fixture);
}

/* Somebody reads below all deletions. */
static void no_run_is_asked_while_no_deletion_counts(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer asked = {0};
    parse(&fixture, "tree 0 runs\nL1 16: a-z 1 @64\nL1 14: a-z 1 @63");
    fixture.ranges[0] = (struct range_delete){slice_from("b"), slice_from("d"), 70};
    struct compaction_request request = {.oldest_read = 80,
                                         .durable = 1000,
                                         .ranges = {fixture.ranges},
                                         .range_counts = {1},
                                         .dead_percent = dead_if_old,
                                         .context = &asked,
                                         .quiet = true};
    assert_next_pick(&fixture, request, "none");
    assert_int_equal(asked.size, strlen(" 14 16"));
    request.oldest_read = 65;
    assert_next_pick(&fixture, request, "none");
    assert_false(fixture.memory.is_asking); /* whoever works may rest */
    assert_int_equal(asked.size, strlen(" 14 16"));
    request.oldest_read = 80;
    assert_next_pick(&fixture, request, "none");
    assert_int_equal(asked.size, strlen(" 14 16 14 16"));
    buffer_release(&asked);
    release(&fixture);
}

static void deletions_sink_when_little_is_written(void **state)
{
    (void)state;
    assert_quiet_pick("tree 0 leveled\nL1 3: c-d 1\nL1 1: a-b 1 +d\nL2 2: a-z 64", UINT64_MAX,
                      "tree 0: merge L1:1 L2:2 -> L2");
    assert_quiet_pick("tree 0 leveled\nL0 1: a-b 1 +d\nL0 3: e-f 1\nL1 2: a-c 64", UINT64_MAX,
                      "tree 0: merge L0:1 L0:3 L1:2 -> L1");
    /* At the last level they go, unless somebody reads below them. */
    assert_quiet_pick("tree 0 leveled\nL2 2: a-z 64 +d", 50, "tree 0: merge L2:2 -> L2");
    assert_quiet_pick("tree 0 leveled\nL2 2: a-z 64 +d", 49, "none");
    /* One of seven entries is not many. */
    assert_quiet_pick("tree 0 leveled\nL1 1: a-b 1 +d\nL2 2: a-b 9\nL2 3: c-d 9\nL2 4: e-f 9\n"
                      "L2 5: g-h 9\nL2 6: i-j 9",
                      UINT64_MAX, "none");
}

static void levels_are_kept_in_proportion_when_little_is_written(void **state)
{
    (void)state;
    assert_quiet_pick("tree 0 leveled\nL1 1: a-b 22\nL2 2: a-z 64", 0,
                      "tree 0: merge L1:1 L2:2 -> L2");
    assert_quiet_pick("tree 0 leveled\nL1 1: a-b 21\nL2 2: a-z 64", 0, "none");
    assert_quiet_pick("tree 0 leveled\nL0 3: a-b 12\nL1 1: a-b 10\nL3 2: a-z 64", 0,
                      "tree 0: move L1:1 -> L2");
    assert_quiet_pick("tree 0 leveled\nL0 2: a-z 10\nL0 1: a-z 20", 0,
                      "tree 0: merge L0:2 L0:1 -> L1");
    assert_quiet_pick("tree 0 leveled\nL0 1: a-z 20", 0, "none");
    assert_pick("tree 0 leveled\nL0 2: a-z 10\nL0 1: a-z 20", "none");
    assert_quiet_pick("tree 0 runs\nL0 2: a-z 10\nL0 1: a-z 20", 0, "none");
}

static void assert_seeks_pick(const char *version, uint64_t extra_seeks, const char *expected)
{
    struct fixture fixture;
    parse(&fixture, version);
    const struct compaction_request request = {
        .oldest_read = UINT64_MAX, .durable = 1000, .extra_seeks = {extra_seeks}};
    assert_next_pick(&fixture, request, expected);
    release(&fixture);
}

static void seeks_pay_for_merges_that_are_not_due(void **state)
{
    (void)state;
    /* A seek pays for 4096 bytes, and 1000 there must be. */
    const char *flushed = "tree 0 leveled\nL0 2: a-z 10\nL0 1: a-z 10\nL1 3: a-m 20\nL1 4: n-z 20";
    assert_seeks_pick(flushed, 60 * 256 - 1, "none");
    assert_seeks_pick(flushed, 60 * 256, "tree 0: merge L0:2 L0:1 L1:3 L1:4 -> L1");
    assert_seeks_pick("tree 0 leveled\nL0 2: a-z 1\nL0 1: a-z 1", 999, "none");
    assert_seeks_pick("tree 0 leveled\nL0 2: a-z 1\nL0 1: a-z 1", 1000,
                      "tree 0: merge L0:2 L0:1 -> L1");
    /* One flushed table waits for another, the last level has nowhere to go. */
    assert_seeks_pick("tree 0 leveled\nL0 1: a-z 1\nL1 2: a-z 1", 1000000, "none");
    assert_seeks_pick("tree 0 leveled\nL2 1: a-m 1\nL2 2: n-z 1", 1000000, "none");
    assert_seeks_pick("tree 0 leveled\nL0 3: a-z 1\nL1 1: a-c 64\nL2 2: a-b 64\nL2 4: c-z 64",
                      192 * 256, "tree 0: merge L1:1 L2:2 L2:4 -> L2");
    assert_seeks_pick("tree 0 leveled\nL1 1: a-c 64\nL2 2: a-b 64\nL2 4: c-z 64", 192 * 256 - 1,
                      "none");
    /* What joins is more than four times as much. */
    assert_seeks_pick("tree 0 leveled\nL1 1: a-c 10\nL2 2: a-z 41", 1000000, "none");
    assert_seeks_pick("tree 0 leveled\nL1 1: a-c 10\nL2 2: a-z 40", 1000000,
                      "tree 0: merge L1:1 L2:2 -> L2");
    assert_seeks_pick("tree 0 runs\nL0 2: a-z 10\nL0 1: a-z 10", 1000000, "none");
}

static void debt_is_the_length_of_level_0(void **state)
{
    (void)state;
    struct fixture fixture;
    parse(&fixture, "tree 0 leveled\nL0 2: a-b 1\nL0 3: a-b 1\nL0 4: a-b 1\nL0 5: a-b 1\n"
                    "tree 1 runs\nL0 9: a-b 1");
    assert_int_equal(compaction_debt_percent(&fixture.version, &fixture.options),
                     4 * 100 / L0_TABLES_MAX);
    release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_0_waits_for_four_tables),
        cmocka_unit_test(overlapping_tables_below_join),
        cmocka_unit_test(little_over_much_is_merged_with_itself_first),
        cmocka_unit_test(full_level_gives_its_tables_in_turn),
        cmocka_unit_test(a_turn_begins_anew_when_its_next_table_is_gone),
        cmocka_unit_test(lone_table_is_moved_unless_it_has_deletions),
        cmocka_unit_test(flushed_tables_that_overlap_nothing_are_moved),
        cmocka_unit_test(last_level_has_nowhere_to_go),
        cmocka_unit_test(most_urgent_tree_goes_first),
        cmocka_unit_test(eight_runs_are_merged_oldest_first),
        cmocka_unit_test(small_runs_that_overlap_go_on_to_the_next_level),
        cmocka_unit_test(runs_that_follow_each_other_are_moved),
        cmocka_unit_test(runs_in_a_row_are_joined_when_little_is_written),
        cmocka_unit_test(many_runs_in_a_row_are_joined_under_load),
        cmocka_unit_test(large_runs_whose_merge_compresses_them_are_merged),
        cmocka_unit_test(request_merges_all_into_one_level),
        cmocka_unit_test(tables_under_a_range_deletion_are_dropped),
        cmocka_unit_test(range_deletions_with_nothing_to_hide_are_dropped),
        cmocka_unit_test(uncovered_tables_are_looked_through_again_after_a_change),
        cmocka_unit_test(merged_runs_are_asked_in_turn_for_their_dead_part),
        cmocka_unit_test(all_runs_are_asked_when_little_is_written),
        cmocka_unit_test(no_run_is_asked_while_no_deletion_counts),
        cmocka_unit_test(deletions_sink_when_little_is_written),
        cmocka_unit_test(levels_are_kept_in_proportion_when_little_is_written),
        cmocka_unit_test(seeks_pay_for_merges_that_are_not_due),
        cmocka_unit_test(debt_is_the_length_of_level_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
