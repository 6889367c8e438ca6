/* SPDX-License-Identifier: MIT */
/* Which compaction to do next: a pure function of the tables' properties, the range deletions and
 * the options.
 *
 *   LSM_LEVELED   level 0: when it has L0_TABLES_MERGED tables all go to level 1, or, where more
 *                 than 8 times their bytes lie below, into one table of level 0. Level n: when it
 *                 holds more than its target (4 tables of full size, 10 times more a level deeper)
 *                 its next table, in turn, goes to level n + 1. What overlaps below joins. A table
 *                 without deletions that overlaps nothing, beside it or below, is moved without
 *                 being read.
 *   LSM_TIME_RUNS level 0: flushed runs, merged once, RUNS_MERGED neighbours at a time, into
 *                 level 1, and left there. Those with nothing to merge, since their keys follow
 *                 each other, are moved, unless they are tiny or the tree wants cold tables
 *                 compressed in another way; they are joined when little is written, or when 64
 *                 stand in a row. The merge gives large objects tables of their own
 *                 (compaction_objects.h); what remains, the slow streams beside a fast one, makes
 *                 small tables, and RUNS_MERGED of those that overlap go on to the next level, so
 *                 that a slow stream is not spread over all runs.
 *   both          tables that lie under newer range deletions are dropped unread, before all else,
 *                 and so are tables of range deletions that have nothing left to hide. A table of
 *                 which half lies under them is written once more: a few are asked each time that
 *                 deletions have come. Of what is due the most urgent level of all trees goes
 *                 first. On request everything is merged into one level. A table of which a fifth
 *                 was kept for snapshots is written again when they are gone.
 *   seeks         an iterator's seek goes into each level and each table of level 0 that has
 *                 something between its bounds. In leveled trees two tables of level 0, or one of a
 *                 deeper level, are merged before they are due once the seeks that met them cost
 *                 about as much as the merge.
 *   quiet         when little is written, all tables are asked, for a third; in leveled trees
 *                 deletions sink to what they delete, and what may be old is pushed down, until
 *                 it is in proportion to the last level. */
#ifndef LSM_COMPACTION_PICK_H
#define LSM_COMPACTION_PICK_H

#include "lsm/range_map.h"
#include "lsm/version.h"

enum { L0_TABLES_MERGED = 4, L0_TABLES_MAX = 16, RUNS_MERGED = 8, L0_RUNS_MAX = 48 };
/* A table is large, and worth leaving as it is, from this share of table_bytes_max on. */
enum { COMPACTION_LARGE_SHARE = 16 };

enum compaction_kind {
    COMPACTION_MERGE, /* read the inputs, write tables at output_level */
    COMPACTION_MOVE,  /* the inputs are listed at output_level */
    COMPACTION_DROP,  /* the inputs go unread */
};

struct compaction_input {
    unsigned level;
    struct table_ref *table;
};

struct compaction_pick {
    enum compaction_kind kind;
    unsigned tree;
    unsigned output_level;
    struct compaction_input *inputs;
    size_t input_count;
};

/* How far a tree was gone through for tables under range deletions. Until its tables, or the
 * deletions that count, change it is not looked through again, except for the tables left. */
struct compaction_turn {
    uint64_t tables; /* in one number */
    lsn_t newest;    /* of the deletions */
    uint64_t asked;  /* number of the table that was asked last for its dead part */
    size_t left;     /* tables that were not asked since the deletions changed */
};

/* What one pick leaves for the next. Zeroed at first. */
struct compaction_memory {
    /* Where the last pick of a level ended, so that a level is gone through in turn. */
    struct buffer next_key[LSM_TREES_MAX][LSM_LEVELS_MAX];
    struct compaction_turn turns[LSM_TREES_MAX];
    bool is_asking; /* the last pick left tables to be asked, which the next one goes on with */
};
void compaction_memory_release(struct compaction_memory *memory);

struct compaction_request {
    const struct lsm_options *options;
    bool everything;   /* lsm_request_compact */
    bool quiet;        /* little is written: time to give room back */
    lsn_t oldest_read; /* nobody reads at a lower LSN; UINT64_MAX: only at the newest */
    lsn_t durable;     /* range deletions at or above it do not count yet */
    /* How many sources iterators went into, beside one a seek, since a tree was last merged. */
    uint64_t extra_seeks[LSM_TREES_MAX];
    /* The range deletions in the tables of each tree; sorted by the call. */
    struct range_delete *ranges[LSM_TREES_MAX];
    size_t range_counts[LSM_TREES_MAX];
    /* About how much of a table lies under newer range deletions; NULL: nobody asks. */
    unsigned (*dead_percent)(void *context, struct table_ref *table, const struct range_map *map);
    void *context;
    struct compaction_memory *memory; /* changed */
};

/* The most urgent job, NULL: none is due. Its tables live as long as the version. */
struct compaction_pick *compaction_pick_create(const struct version *version,
                                               const struct compaction_request *request);
void compaction_pick_destroy(struct compaction_pick *pick); /* NULL is fine */
/* One line for logs and tests: "tree 0: merge L0:3 L0:2 L1:7 -> L1". */
void compaction_pick_describe(const struct compaction_pick *pick, struct buffer *text);
/* Whether a tree holds too many deletions, these besides those in its tables, for what they delete to be
 * kept. */
bool compaction_deletions_are_many(const struct version_tree *tables, uint64_t more);
/* How far compaction is behind, in percent: 100: some level 0 is as long as it may become. */
unsigned compaction_debt_percent(const struct version *version, const struct lsm_options *options);

#endif
