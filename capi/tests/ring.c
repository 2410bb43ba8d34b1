/* Ring sessions: many small items, from several threads at a time; and what is refused. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "misuse.h"

#define THREADS 4
#define TURNS 12
#define ITEMS 20

static vkscan_ring *open_ring(const vkscan_backend *backend)
{
    vkscan_rules *rules = compile();
    vkscan_ring_options options;
    vkscan_ring *ring;
    OK(vkscan_ring_options_init(&options, sizeof options));
    CHECK(options.slot_count == 256 && options.rounds_in_flight == 4 && options.round_bytes == 16 << 20);
    options.slot_count = 60;
    options.workgroup_size_x = 64;
    options.tenant_count = 2;
    options.observable_slots = 2;
    options.rounds_in_flight = 2;
    options.max_matches = 10;
    options.round_bytes = 1 << 12;
    OK(vkscan_ring_open(backend, rules, &options, &ring));
    CHECK(vkscan_ring_slot_count(ring) == 64 && vkscan_ring_next_slot(ring) == 0);
    vkscan_rules_free(rules);
    return ring;
}

static vkscan_ring_result result_of(const vkscan_ring_ticket *ticket, size_t index)
{
    vkscan_ring_result result = {.struct_size = sizeof result};
    OK(vkscan_ring_ticket_result(ticket, index, &result));
    return result;
}

/* The item is the text, whose matches are known. */
static void check_text(const vkscan_ring_ticket *ticket, size_t index, uint64_t id)
{
    vkscan_ring_result result = result_of(ticket, index);
    CHECK(result.status == VKSCAN_STATUS_OK && result.id == id && result.message == NULL);
    CHECK(result.found == 2 && result.at_least == 0 && result.reserved == 0);
    check_matches(result.matches, result.match_count);
}

/* Publishes, and makes room for that as often as it takes. */
static vkscan_ring_ticket *publish(const vkscan_ring *ring, const vkscan_ring_item *items, size_t count)
{
    vkscan_ring_ticket *ticket = NULL;
    vkscan_status status;
    while ((status = vkscan_ring_publish(ring, items, count, &ticket, NULL)) == VKSCAN_STATUS_RING_FULL) {
        CHECK(ticket == NULL);
        OK(vkscan_ring_flush(ring));
    }
    OK(status);
    return ticket;
}

typedef struct {
    const vkscan_ring *ring;
    const vkscan_rules *rules;
    size_t number;
} worker;

/* Publishes rounds of its own items, two at a time, of which each gets what a scan of it alone finds. */
static void *work(void *argument)
{
    const worker *self = argument;
    char texts[2][ITEMS][120];
    vkscan_ring_item items[2][ITEMS];
    vkscan_ring_ticket *tickets[2];
    size_t turn, round, i;
    CHECK(strcmp(vkscan_last_error(), "") == 0);
    for (turn = 0; turn < TURNS; turn++) {
        for (round = 0; round < 2; round++) {
            memset(items[round], 0, sizeof items[round]);
            for (i = 0; i < ITEMS; i++) {
                char *text = texts[round][i];
                const char *end = i % 3 == 0 ? "\nAKIA0123456789ABCDEF" : "x";
                int indent = (int)(i + self->number);
                snprintf(text, sizeof texts[round][i], "%*s\nPassword = p%zu.%zu%s", indent, "", turn, i, end);
                items[round][i].id = self->number << 32 | i;
                items[round][i].bytes = (const uint8_t *)text;
                items[round][i].len = i % 7 == 0 ? 0 : strlen(text);
            }
            tickets[round] = publish(self->ring, items[round], ITEMS);
        }
        for (round = 0; round < 2; round++) {
            while (turn % 2 == 0 && !vkscan_ring_ticket_is_ready(tickets[round])) {
                sched_yield();
            }
            OK(vkscan_ring_ticket_wait(tickets[round]));
            CHECK(vkscan_ring_ticket_is_ready(tickets[round]) && vkscan_ring_ticket_count(tickets[round]) == ITEMS);
            for (i = 0; i < ITEMS; i++) {
                vkscan_ring_result result = result_of(tickets[round], i);
                vkscan_ring_item item = items[round][i];
                vkscan_match wanted[10];
                size_t count;
                OK(vkscan_rules_reference_scan(self->rules, item.bytes, item.len, VKSCAN_UNBOUNDED, wanted, 10, &count));
                CHECK(result.status == VKSCAN_STATUS_OK && result.id == item.id);
                CHECK(result.match_count == count && (count > 0) == (i % 7 != 0));
                CHECK(count == 0 || memcmp(result.matches, wanted, count * sizeof *wanted) == 0);
            }
            vkscan_ring_ticket_free(tickets[round]);
        }
    }
    return NULL;
}

static void several_threads(const vkscan_backend *backend)
{
    vkscan_ring *ring = open_ring(backend);
    vkscan_rules *rules = compile();
    pthread_t handles[THREADS];
    worker workers[THREADS];
    uint64_t items;
    size_t i;
    for (i = 0; i < THREADS; i++) {
        workers[i].ring = ring;
        workers[i].rules = rules;
        workers[i].number = i;
        CHECK(pthread_create(&handles[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(handles[i], NULL) == 0);
    }
    OK(vkscan_ring_observe(ring, VKSCAN_ALL_TENANTS, VKSCAN_RING_COUNTER_ITEMS, &items));
    CHECK(items == THREADS * TURNS * 2 * ITEMS);
    vkscan_rules_free(rules);
    OK(vkscan_ring_free(ring));
}

/* More than a round of items, for two tenants, in memory and on the device; of which some are wrong. */
static void scans_of_many(const vkscan_backend *backend, const vkscan_backend *other)
{
    vkscan_ring *ring = open_ring(backend);
    vkscan_ring_item items[100], odd[7];
    vkscan_pattern pattern = {"a", 1};
    vkscan_resident_haystack *resident, *foreign;
    vkscan_ring_stats stats = {.struct_size = sizeof stats};
    vkscan_scan_stats scan = {.struct_size = sizeof scan};
    vkscan_ring_ticket *ticket;
    vkscan_ring_result result;
    vkscan_backend *own;
    vkscan_rules *rules;
    uint64_t value;
    size_t i;

    for (i = 0; i < 100; i++) {
        items[i] = (vkscan_ring_item){.id = 1000 - i, .bytes = BYTES, .len = TEXT_LEN};
    }
    OK(vkscan_ring_scan(ring, items, 100, &ticket));
    CHECK(vkscan_ring_ticket_is_ready(ticket) && vkscan_ring_ticket_count(ticket) == 100);
    OK(vkscan_ring_ticket_wait(ticket));
    for (i = 0; i < 100; i++) {
        check_text(ticket, i, 1000 - i);
    }
    OK(vkscan_ring_ticket_stats(ticket, &stats, &scan));
    CHECK(stats.rounds > 3 && stats.recovered == 0 && scan.submissions >= stats.rounds && scan.bytes_up > 0);
    OK(vkscan_ring_ticket_stats(ticket, &stats, NULL));
    vkscan_ring_ticket_free(ticket);

    OK(vkscan_rules_compile(&pattern, 1, NULL, &rules, NULL));
    OK(vkscan_ring_set_tenant(ring, 1, rules, 3));
    INVALID(vkscan_ring_set_tenant(ring, 2, rules, 3), "tenant of 2");
    vkscan_rules_free(rules);
    OK(vkscan_ring_backend(ring, &own));
    OK(vkscan_resident_haystack_new(own, BYTES, TEXT_LEN, &resident));
    OK(vkscan_resident_haystack_new(other, BYTES, TEXT_LEN, &foreign));
    vkscan_backend_free(own);
    odd[0] = (vkscan_ring_item){.id = 1, .resident = resident, .len = TEXT_LEN};
    odd[1] = (vkscan_ring_item){.id = 2, .resident = resident, .len = TEXT_LEN, .offset = 1};
    odd[2] = (vkscan_ring_item){.id = 3, .resident = foreign, .len = TEXT_LEN};
    odd[3] = (vkscan_ring_item){.id = 4, .tenant = 1, .bytes = BYTES, .len = 18};
    odd[4] = (vkscan_ring_item){.id = 5, .tenant = 1, .bytes = BYTES, .len = 18, .max_matches = 1};
    odd[5] = (vkscan_ring_item){.id = 6, .tenant = 2, .bytes = BYTES, .len = TEXT_LEN};
    odd[6] = (vkscan_ring_item){.id = 7, .bytes = BYTES, .len = (size_t)5 << 30};
    OK(vkscan_ring_publish(ring, odd, 7, &ticket, NULL));
    vkscan_resident_haystack_free(resident);
    vkscan_resident_haystack_free(foreign);
    OK(vkscan_ring_ticket_wait(ticket));
    check_text(ticket, 0, 1);
    result = result_of(ticket, 1);
    CHECK(result.status == VKSCAN_STATUS_INVALID_ARGUMENT && strstr(result.message, "not inside") != NULL);
    CHECK(result.matches == NULL && result.match_count == 0 && result.id == 2);
    result = result_of(ticket, 2);
    CHECK(result.status == VKSCAN_STATUS_WRONG_BACKEND && strstr(result.message, "another backend") != NULL);
    result = result_of(ticket, 3);
    CHECK(result.status == VKSCAN_STATUS_OK && result.match_count == 2 && result.matches[1].start == 14);
    result = result_of(ticket, 4);
    CHECK(result.status == VKSCAN_STATUS_TOO_MANY_MATCHES && result.found == 2 && result.match_count == 0);
    result = result_of(ticket, 5);
    CHECK(result.status == VKSCAN_STATUS_NO_RULES && strstr(result.message, "tenant 2") != NULL);
    result = result_of(ticket, 6);
    CHECK(result.status == VKSCAN_STATUS_HAYSTACK_TOO_LARGE && strstr(result.message, "5368709120") != NULL);
    vkscan_ring_ticket_free(ticket);

    OK(vkscan_ring_observe(ring, 1, VKSCAN_RING_COUNTER_BYTES, &value));
    CHECK(value == 36);
    INVALID(vkscan_ring_observe(ring, 0, VKSCAN_RING_COUNTER_HITS, &value), "`observable_slots`");
    INVALID(vkscan_ring_observe(ring, 2, VKSCAN_RING_COUNTER_BYTES, &value), "no tenant 2");
    INVALID(vkscan_ring_observe(ring, 0, 4, &value), "`counter` 4");
    INVALID(vkscan_ring_observe(ring, 0, 0, NULL), "`value` is null");
    OK(vkscan_ring_free(ring));
}

/* Items that are read straight into lent memory. */
static void batches(const vkscan_backend *backend)
{
    vkscan_ring *ring = open_ring(backend);
    vkscan_ring_batch *batch, *lost;
    vkscan_ring_ticket *ticket, *other;
    vkscan_ring_result result;
    uint8_t *data, *more, *spare;
    uint64_t freed;
    size_t turn;

    OK(vkscan_ring_lend(ring, 0, &batch));
    for (turn = 0; turn < 3; turn++) {
        OK(vkscan_ring_batch_clear(batch));
        OK(vkscan_ring_batch_reserve(batch, 7, TEXT_LEN, 0, &data));
        OK(vkscan_ring_batch_reserve(batch, 8, 1000, 1, &more));
        EXPECT(VKSCAN_STATUS_RING_FULL, vkscan_ring_batch_reserve(batch, 9, 1 << 12, 0, &spare), "2 items");
        memcpy(data, TEXT, TEXT_LEN);
        memcpy(more, TEXT, TEXT_LEN);
        OK(vkscan_ring_batch_truncate(batch, 1, TEXT_LEN));
        INVALID(vkscan_ring_batch_truncate(batch, 2, 0), "there are 2 items");
        CHECK(vkscan_ring_batch_count(batch) == 2);
        OK(vkscan_ring_batch_publish(batch, &ticket));
        EXPECT(VKSCAN_STATUS_BUSY, vkscan_ring_batch_publish(batch, &other), "being scanned");
        EXPECT(VKSCAN_STATUS_BUSY, vkscan_ring_batch_clear(batch), "being scanned");
        CHECK(other == NULL && vkscan_ring_batch_count(batch) == 0);
        OK(vkscan_ring_ticket_wait(ticket));
        check_text(ticket, 0, 7);
        result = result_of(ticket, 1);
        CHECK(result.status == VKSCAN_STATUS_TOO_MANY_MATCHES && result.found == 2 && result.id == 8);
        vkscan_ring_ticket_free(ticket);
        CHECK(vkscan_ring_batch_count(batch) == 2 && memcmp(data, TEXT, TEXT_LEN) == 0);
    }

    /* One whose ticket is freed is gone; one that is freed comes back with its ticket. */
    OK(vkscan_ring_lend(ring, 0, &lost));
    OK(vkscan_ring_batch_reserve(lost, 1, 1, 0, &data));
    *data = 'x';
    OK(vkscan_ring_batch_publish(lost, &ticket));
    vkscan_ring_ticket_free(ticket);
    EXPECT(VKSCAN_STATUS_BATCH_LOST, vkscan_ring_batch_reserve(lost, 1, 1, 0, &data), "lend another");
    EXPECT(VKSCAN_STATUS_BATCH_LOST, vkscan_ring_batch_publish(lost, &ticket), "lend another");
    vkscan_ring_batch_free(lost);
    OK(vkscan_ring_batch_publish(batch, &ticket));
    vkscan_ring_batch_free(batch);
    OK(vkscan_ring_ticket_wait(ticket));
    check_text(ticket, 0, 7);
    vkscan_ring_ticket_free(ticket);
    OK(vkscan_ring_trim(ring, &freed));
    CHECK(freed > 0);
    OK(vkscan_ring_trim(ring, NULL));
    EXPECT(VKSCAN_STATUS_NO_RULES, vkscan_ring_lend(ring, 1, &batch), "tenant 1");
    CHECK(batch == NULL);
    OK(vkscan_ring_free(ring));
}

/* What ends in another order than it began, and what is used when it has ended. */
static void endings(void)
{
    vkscan_backend *backend = open_backend();
    vkscan_ring *ring = open_ring(backend);
    vkscan_rules *rules = compile();
    vkscan_ring_item item = {.id = 5, .bytes = BYTES, .len = TEXT_LEN};
    vkscan_ring_ticket *one, *two, *dropped, *none;
    vkscan_ring_batch *batch, *late;
    vkscan_backend *own;
    uint8_t *data;

    OK(vkscan_ring_publish(ring, &item, 1, &one, NULL));
    OK(vkscan_ring_publish(ring, &item, 1, &two, NULL));
    EXPECT(VKSCAN_STATUS_RING_FULL, vkscan_ring_publish(ring, &item, 1, &none, NULL), "rounds of tenant 0");
    OK(vkscan_ring_ticket_wait(two));
    OK(vkscan_ring_publish(ring, &item, 1, &dropped, NULL));
    vkscan_ring_ticket_free(dropped);
    OK(vkscan_ring_lend(ring, 0, &batch));
    OK(vkscan_ring_shutdown(ring));
    OK(vkscan_ring_shutdown(ring));
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_publish(ring, &item, 1, &none, NULL), "shut down");
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_scan(ring, &item, 1, &none), "shut down");
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_set_tenant(ring, 0, rules, 1), "shut down");
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_lend(ring, 0, &late), "shut down");
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_trim(ring, NULL), "shut down");
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_backend(ring, &own), "shut down");
    OK(vkscan_ring_batch_reserve(batch, 1, 1, 0, &data));
    *data = 'x';
    EXPECT(VKSCAN_STATUS_CLOSED, vkscan_ring_batch_publish(batch, &none), "shut down");
    CHECK(none == NULL && late == NULL && own == NULL && vkscan_ring_batch_count(batch) == 1);
    OK(vkscan_ring_flush(ring));
    CHECK(vkscan_ring_next_slot(ring) == 0);
    vkscan_ring_batch_free(batch);

    /* What was published before is there. */
    CHECK(vkscan_ring_ticket_is_ready(one));
    OK(vkscan_ring_ticket_wait(one));
    check_text(one, 0, 5);
    check_text(two, 0, 5);
    vkscan_ring_ticket_free(one);
    vkscan_ring_ticket_free(two);
    OK(vkscan_ring_free(ring));
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);

    /* Owners go before what they own. */
    ring = open_ring(backend);
    OK(vkscan_ring_publish(ring, &item, 1, &one, NULL));
    OK(vkscan_ring_publish(ring, &item, 1, &dropped, NULL));
    OK(vkscan_ring_lend(ring, 0, &batch));
    EXPECT(VKSCAN_STATUS_STILL_IN_USE, vkscan_ring_free(ring), "freed with the last of them");
    OK(vkscan_ring_ticket_wait(one));
    check_text(one, 0, 5);
    vkscan_ring_ticket_free(one);
    vkscan_ring_batch_free(batch);
    CHECK(vkscan_backend_allocated_bytes(backend) > 0);
    vkscan_ring_ticket_free(dropped);
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    vkscan_rules_free(rules);
    vkscan_backend_free(backend);
}

/* Null handles and pointers, structs that are too short, and numbers that cannot be. */
static void refused(const vkscan_backend *backend)
{
    vkscan_ring *ring = open_ring(backend), *none;
    vkscan_rules *rules = compile();
    vkscan_ring_options options;
    vkscan_ring_item items[40] = {{.bytes = NULL, .len = 1}};
    vkscan_ring_result result = {.struct_size = sizeof result};
    vkscan_ring_stats stats = {.struct_size = sizeof stats};
    vkscan_scan_stats scan = {.struct_size = 4};
    vkscan_resident_haystack *resident;
    vkscan_ring_ticket *ticket;
    vkscan_ring_batch *batch;
    vkscan_backend *own;
    uint8_t *data;
    uint64_t value;
    size_t fit = 9;

    INVALID(vkscan_ring_options_init(NULL, sizeof options), "`options` is null");
    INVALID(vkscan_ring_options_init(&options, sizeof options - 1), "sizeof(vkscan_ring_options)");
    OK(vkscan_ring_options_init(&options, sizeof options));
    INVALID(vkscan_ring_open(NULL, rules, &options, &none), "`backend` is null");
    INVALID(vkscan_ring_open(backend, NULL, &options, &none), "`rules` is null");
    INVALID(vkscan_ring_open(backend, rules, &options, NULL), "`ring` is null");
    options.struct_size = 7;
    INVALID(vkscan_ring_open(backend, rules, &options, &none), "`options` has a `struct_size` of 7");
    options.struct_size = sizeof options;
    options.reserved = 1;
    INVALID(vkscan_ring_open(backend, rules, &options, &none), "`reserved`");
    options.reserved = 0;
    options.tenant_count = 65;
    INVALID(vkscan_ring_open(backend, rules, &options, &none), "tenant_count of 65");
    options.tenant_count = 1;
    options.round_bytes = 15;
    INVALID(vkscan_ring_open(backend, rules, &options, &none), "round_bytes of 15");
    options.round_bytes = 1 << 12;
    options.workgroup_size_x = 1 << 20;
    EXPECT(VKSCAN_STATUS_UNSUPPORTED, vkscan_ring_open(backend, rules, &options, &none), "`workgroup_size_x`");
    CHECK(none == NULL);
    OK(vkscan_ring_open(backend, rules, NULL, &none));
    OK(vkscan_ring_free(none));

    INVALID(vkscan_ring_set_tenant(NULL, 0, rules, 1), "`ring` is null");
    INVALID(vkscan_ring_set_tenant(ring, 0, NULL, 1), "`rules` is null");
    INVALID(vkscan_ring_scan(NULL, items, 0, &ticket), "`ring` is null");
    INVALID(vkscan_ring_scan(ring, NULL, 1, &ticket), "`items` is null");
    INVALID(vkscan_ring_scan(ring, items, 0, NULL), "`ticket` is null");
    INVALID(vkscan_ring_scan(ring, items, SIZE_MAX, &ticket), "not that large");
    INVALID(vkscan_ring_publish(NULL, items, 0, &ticket, NULL), "`ring` is null");
    INVALID(vkscan_ring_publish(ring, NULL, 1, &ticket, NULL), "`items` is null");
    INVALID(vkscan_ring_publish(ring, items, 0, NULL, NULL), "`ticket` is null");
    INVALID(vkscan_ring_publish(ring, items, 1, &ticket, NULL), "item 0: `bytes` is null");
    items[0].bytes = BYTES;
    items[1].offset = 1;
    INVALID(vkscan_ring_publish(ring, items, 2, &ticket, NULL), "item 1: `offset` is not 0");
    OK(vkscan_resident_haystack_new(backend, BYTES, 1, &resident));
    items[1] = (vkscan_ring_item){.bytes = BYTES, .resident = resident};
    INVALID(vkscan_ring_publish(ring, items, 2, &ticket, NULL), "item 1: it is in more than one place");
    items[1].resident = NULL;
    vkscan_resident_haystack_free(resident);
    EXPECT(VKSCAN_STATUS_TOO_MANY_ITEMS, vkscan_ring_publish(ring, items, 40, &ticket, &fit), "40 items");
    CHECK(ticket == NULL && fit == 32);
    EXPECT(VKSCAN_STATUS_TOO_MANY_ITEMS, vkscan_ring_publish(ring, items, 40, &ticket, NULL), "40 items");
    INVALID(vkscan_ring_flush(NULL), "`ring` is null");
    INVALID(vkscan_ring_trim(NULL, NULL), "`ring` is null");
    INVALID(vkscan_ring_shutdown(NULL), "`ring` is null");
    INVALID(vkscan_ring_backend(NULL, &own), "`ring` is null");
    INVALID(vkscan_ring_backend(ring, NULL), "`backend` is null");
    INVALID(vkscan_ring_observe(NULL, 0, 0, &value), "`ring` is null");
    CHECK(vkscan_ring_slot_count(NULL) == 0 && vkscan_ring_next_slot(NULL) == 0);

    OK(vkscan_ring_publish(ring, NULL, 0, &ticket, NULL));
    EXPECT(VKSCAN_STATUS_BUSY, vkscan_ring_ticket_result(ticket, 0, &result), "waited for");
    EXPECT(VKSCAN_STATUS_BUSY, vkscan_ring_ticket_stats(ticket, &stats, NULL), "waited for");
    CHECK(vkscan_ring_ticket_count(ticket) == 0);
    OK(vkscan_ring_ticket_wait(ticket));
    OK(vkscan_ring_ticket_wait(ticket));
    INVALID(vkscan_ring_ticket_result(ticket, 0, &result), "there are 0 items");
    INVALID(vkscan_ring_ticket_result(ticket, 0, NULL), "`result` is null");
    INVALID(vkscan_ring_ticket_result(NULL, 0, &result), "`ticket` is null");
    INVALID(vkscan_ring_ticket_stats(ticket, NULL, NULL), "`stats` is null");
    INVALID(vkscan_ring_ticket_stats(ticket, &stats, &scan), "`scan` has a `struct_size` of 4");
    INVALID(vkscan_ring_ticket_stats(NULL, &stats, NULL), "`ticket` is null");
    result.struct_size--;
    INVALID(vkscan_ring_ticket_result(ticket, 0, &result), "sizeof(vkscan_ring_result)");
    INVALID(vkscan_ring_ticket_wait(NULL), "`ticket` is null");
    CHECK(!vkscan_ring_ticket_is_ready(NULL) && vkscan_ring_ticket_count(NULL) == 0);
    vkscan_ring_ticket_free(ticket);
    vkscan_ring_ticket_free(NULL);

    INVALID(vkscan_ring_lend(NULL, 0, &batch), "`ring` is null");
    INVALID(vkscan_ring_lend(ring, 0, NULL), "`batch` is null");
    INVALID(vkscan_ring_batch_reserve(NULL, 0, 1, 0, &data), "`batch` is null");
    OK(vkscan_ring_lend(ring, 0, &batch));
    INVALID(vkscan_ring_batch_reserve(batch, 0, 1, 0, NULL), "`bytes` is null");
    EXPECT(VKSCAN_STATUS_RING_FULL, vkscan_ring_batch_reserve(batch, 0, SIZE_MAX, 0, &data), "0 items");
    INVALID(vkscan_ring_batch_publish(batch, NULL), "`ticket` is null");
    INVALID(vkscan_ring_batch_publish(NULL, &ticket), "`batch` is null");
    INVALID(vkscan_ring_batch_truncate(NULL, 0, 0), "`batch` is null");
    INVALID(vkscan_ring_batch_clear(NULL), "`batch` is null");
    CHECK(vkscan_ring_batch_count(NULL) == 0);
    vkscan_ring_batch_free(batch);
    vkscan_ring_batch_free(NULL);

    vkscan_rules_free(rules);
    OK(vkscan_ring_free(ring));
    OK(vkscan_ring_free(NULL));
}

void rings(const vkscan_backend *backend, const vkscan_backend *other)
{
    refused(backend);
    scans_of_many(backend, other);
    batches(backend);
    endings();
    several_threads(backend);
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
}
