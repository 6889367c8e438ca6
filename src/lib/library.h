/* SPDX-License-Identifier: MIT */
/* The inside of the library: what stands behind the opaque structs of cordwood.h. */
#ifndef LIB_LIBRARY_H
#define LIB_LIBRARY_H

#include "lib/keeper.h"

struct cordwood {
    struct keeper keeper;
    struct lsm *engine;
    unsigned tree_count;
    size_t batch_bytes_max;
};

struct cordwood_snapshot {
    struct cordwood *db;
    struct lsm_snapshot *snapshot;
};

struct cordwood_transaction {
    struct cordwood *db;
    struct lsm_transaction *transaction;
    bool serializable;
    bool ended;              /* committed, or refused for a conflict */
    unsigned iterator_count; /* open now */
    enum status noted; /* a note of what was read that failed: so do later reads and the commit */
};

/* As cordwood_open in a world of the caller's, which outlives the database. */
enum cordwood_status library_open(const struct env *env, const char *directory,
                                  const struct cordwood_options *options,
                                  struct cordwood_error *error, struct cordwood **db);
/* The caller's options, shorter ones of an older header too, with the defaults filled in. false: they
 * say something that cannot be. */
bool library_take_options(const struct cordwood_options *given, struct cordwood_options *options);
enum lsm_compression library_cold_compression(const struct cordwood_options *options);
/* Copies the caller's struct, which begins with its size, over the defaults in `taken`. false: it is
 * larger than any that is known. */
bool library_take_struct(void *taken, size_t taken_bytes, const void *given);
/* Of all trees that the library makes, logs' too, for verify and repair. */
extern const struct block_codec *const library_codecs[];
void library_error(struct cordwood_error *error, const struct lsm_report *report);

enum cordwood_status library_status(enum status status);
static inline struct slice library_slice(struct cordwood_slice slice)
{
    return slice_make(slice.data, slice.size);
}
static inline bool library_is_key(const struct cordwood *db, uint32_t tree,
                                  struct cordwood_slice key)
{
    return tree < db->tree_count && key.size <= CORDWOOD_KEY_BYTES_MAX;
}
/* Replaces the buffer's content. STATUS_NO_MEMORY: unchanged. */
enum status library_copy_out(struct slice value, struct cordwood_buffer *buffer);

/* What is read: a snapshot, a transaction (with `noted`: a get notes itself), or, if both are NULL, now. */
struct library_moment {
    struct lsm_snapshot *snapshot;
    struct cordwood_transaction *transaction;
};
void library_read_begin(struct lsm_reader *reader, const struct library_moment *moment);
enum cordwood_status library_get(struct cordwood *db, const struct library_moment *moment,
                                 uint32_t tree, struct cordwood_slice key,
                                 struct cordwood_buffer *value);
enum cordwood_status library_iterator_open(struct cordwood *db, const struct library_moment *moment,
                                           uint32_t tree,
                                           const struct cordwood_iterator_options *options,
                                           struct cordwood_iterator **iterator);

#endif
