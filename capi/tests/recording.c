/* Scans in command buffers of the program's, from its buffers and to them; and what is wrong with some of them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "misuse.h"
#include "program.h"

#define ROOM 4
#define WORDS (1 + 3 * ROOM + 2)
#define THREADS 3

static const vkscan_raw_scope host_write = {STAGE_HOST, ACCESS_HOST_WRITE}, host_read = {STAGE_HOST, ACCESS_HOST_READ};

typedef struct {
    program program;
    vkscan_backend *backend;
    vkscan_session *session;
    uint64_t alignment;
    buffer haystack, hits, length;
} setting;

static setting begin(const vkscan_backend *owner)
{
    vkscan_device_info info = {.struct_size = sizeof info};
    setting self;
    begin_program(&self.program, owner);
    self.backend = backend_of(&self.program, NULL);
    OK(vkscan_backend_device_info(self.backend, &info));
    self.alignment = info.storage_buffer_alignment;
    CHECK(self.alignment > 0 && (self.alignment & (self.alignment - 1)) == 0);
    self.session = prepare(self.backend, 1 << 12, 10);
    self.haystack = make_buffer(&self.program, 1024, USAGE_STORAGE | USAGE_TRANSFER_SRC);
    self.hits = make_buffer(&self.program, self.alignment + vkscan_hits_bytes(ROOM), USAGE_STORAGE);
    self.length = make_buffer(&self.program, 8, USAGE_TRANSFER_SRC);
    memcpy(self.haystack.mapped, TEXT, TEXT_LEN);
    return self;
}

static void end(setting *self)
{
    free_buffer(&self->program, &self->haystack);
    free_buffer(&self->program, &self->hits);
    free_buffer(&self->program, &self->length);
    CHECK(vkscan_backend_allocated_bytes(self->backend) == 0);
    vkscan_backend_free(self->backend);
    end_program(&self->program);
}

/* All of the haystack, and hits behind as many bytes as the device aligns to. */
static vkscan_record_options usual(const setting *self)
{
    vkscan_record_options options;
    OK(vkscan_record_options_init(&options, sizeof options));
    CHECK(options.rounds > 0 && options.many_matches == 0 && options.barriers == 1);
    CHECK(options.max_scan_bytes == VKSCAN_UNBOUNDED && options.length.buffer == 0 && options.haystack_len == 0);
    options.haystack = self->haystack.raw;
    options.haystack_len = TEXT_LEN;
    options.hits = self->hits.raw;
    options.hits_offset = self->alignment;
    options.max_matches = ROOM;
    return options;
}

static const uint32_t *words_of(const setting *self)
{
    return (const uint32_t *)(const void *)((const char *)self->hits.mapped + self->alignment);
}

/* What a recording has come to. */
static vkscan_recorded_state read(const setting *self, uint32_t room, uint32_t *detail)
{
    vkscan_recorded_state state;
    vkscan_match matches[ROOM];
    size_t count = 99, words = (size_t)vkscan_hits_bytes(room) / 4;
    OK(vkscan_read_hits(words_of(self), words, room, &state, detail, matches, ROOM, &count));
    CHECK(words_of(self)[0] == count && words_of(self)[1 + 3 * room] == state);
    if (state == VKSCAN_RECORDED_STATE_COMPLETE && count > 0) {
        check_matches(matches, count);
    }
    return state;
}

/* The wire format, without any help. */
static void check_words(const uint32_t *words)
{
    static const uint32_t found[] = {2, 0, 38, 58, 1, 13, 31};
    CHECK(memcmp(words, found, sizeof found) == 0);
    CHECK(words[WORDS - 2] == VKSCAN_RECORDED_STATE_COMPLETE && words[WORDS - 1] == 2);
}

static void executed(setting *self)
{
    vkscan_recording *recording;
    vkscan_recording_options options;
    vkscan_record_options scan = usual(self);
    vkscan_raw_scope before, behind;
    void *commands, *unordered, *few, *again;
    uint64_t first = 99, number;
    uint32_t detail, length;
    int round;

    OK(vkscan_recording_options_init(&options, sizeof options));
    CHECK(options.recordings == 16 && options.copied_bytes == 0);
    options.copied_bytes = 1 << 10;
    OK(vkscan_session_recording(self->session, &options, &recording));

    commands = begin_commands(&self->program, self->program.pool);
    OK(vkscan_recording_record(recording, commands, &scan, &first));
    OK(vkscan_recording_required_barriers(recording, &before, &behind));
    barrier(&self->program, commands, behind, host_read);
    end_commands(&self->program, commands);
    CHECK(first == 0 && read(self, ROOM, NULL) == VKSCAN_RECORDED_STATE_NOT_RUN);
    for (round = 0; round < 2; round++) {
        memset(self->hits.mapped, 0xAB, (size_t)self->hits.raw.size);
        execute(&self->program, commands);
        CHECK(read(self, ROOM, &detail) == VKSCAN_RECORDED_STATE_COMPLETE && detail == 0);
        check_words(words_of(self));
    }

    /* Barriers of the program's, a haystack that has to be copied first, and its length in a word of a buffer. */
    memmove((char *)self->haystack.mapped + 3, TEXT, TEXT_LEN);
    scan.haystack_offset = 3;
    scan.barriers = 0;
    scan.length = self->length.raw;
    scan.length_offset = 4;
    unordered = begin_commands(&self->program, self->program.pool);
    barrier(&self->program, unordered, host_write, before);
    OK(vkscan_recording_record(recording, unordered, &scan, &number));
    barrier(&self->program, unordered, behind, host_read);
    end_commands(&self->program, unordered);
    CHECK(number == 1);
    for (length = TEXT_LEN + 1; length + 2 > TEXT_LEN; length--) {
        memcpy((char *)self->length.mapped + 4, &length, sizeof length);
        execute(&self->program, unordered);
        if (length > TEXT_LEN) {
            CHECK(read(self, ROOM, &detail) == VKSCAN_RECORDED_STATE_TOO_LONG && detail == length);
        } else {
            CHECK(read(self, ROOM, &detail) == VKSCAN_RECORDED_STATE_COMPLETE && words_of(self)[0] == 2);
        }
    }

    /* Room for fewer matches than there are; and what is at its end does not go on. */
    scan = usual(self);
    scan.haystack_offset = 3;
    scan.max_matches = 1;
    few = begin_commands(&self->program, self->program.pool);
    OK(vkscan_recording_record(recording, few, &scan, NULL));
    barrier(&self->program, few, behind, host_read);
    end_commands(&self->program, few);
    execute(&self->program, few);
    CHECK(read(self, 1, &detail) == VKSCAN_RECORDED_STATE_TOO_MANY && detail == 2 && words_of(self)[0] == 0);
    memmove(self->haystack.mapped, TEXT, TEXT_LEN);
    execute(&self->program, commands);
    again = begin_commands(&self->program, self->program.pool);
    OK(vkscan_recording_continue(recording, again, first, 16));
    barrier(&self->program, again, behind, host_read);
    end_commands(&self->program, again);
    execute(&self->program, again);
    check_words(words_of(self));

    /* Numbers go on after it was cleared, so that none is taken for another one. */
    OK(vkscan_recording_clear(recording));
    again = begin_commands(&self->program, self->program.pool);
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_recording_continue(recording, again, first, 1), "scan 0");
    scan = usual(self);
    OK(vkscan_recording_record(recording, again, &scan, &number));
    CHECK(number == 3);
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_recording_continue(recording, again, first, 1), "cleared");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_recording_continue(recording, again, number, 0), "rounds");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_recording_continue(recording, NULL, number, 1), "null");
    end_commands(&self->program, again);
    vkscan_recording_free(recording);
}

/* A scan that comes to more than was recorded, until it does not any more. */
static void goes_on(setting *self)
{
    const vkscan_pattern pattern = {"[ab]", 4};
    const uint32_t room = 8000;
    const size_t words = (size_t)vkscan_hits_bytes(room) / 4;
    buffer haystack = make_buffer(&self->program, room, USAGE_STORAGE);
    buffer hits = make_buffer(&self->program, vkscan_hits_bytes(room), USAGE_STORAGE);
    vkscan_match *matches = malloc(room * sizeof *matches);
    vkscan_record_options scan = usual(self);
    vkscan_raw_scope before, behind;
    vkscan_rules *rules;
    vkscan_session_options options;
    vkscan_session *session;
    vkscan_recording *recording;
    vkscan_recorded_state state;
    void *commands, *again;
    uint64_t number;
    size_t count;
    int turns;

    memset(haystack.mapped, 'a', room);
    OK(vkscan_rules_compile(&pattern, 1, NULL, &rules, NULL));
    OK(vkscan_session_options_init(&options, sizeof options));
    options.haystack_capacity_bytes = room;
    options.max_matches = 20000;
    OK(vkscan_session_prepare(self->backend, rules, &options, &session));
    vkscan_rules_free(rules);
    OK(vkscan_session_recording(session, NULL, &recording));
    OK(vkscan_recording_required_barriers(recording, &before, &behind));
    scan.haystack = haystack.raw;
    scan.haystack_len = room;
    scan.hits = hits.raw;
    scan.hits_offset = 0;
    scan.max_matches = room;
    scan.many_matches = 0;
    commands = begin_commands(&self->program, self->program.pool);
    OK(vkscan_recording_record(recording, commands, &scan, &number));
    barrier(&self->program, commands, behind, host_read);
    end_commands(&self->program, commands);
    again = begin_commands(&self->program, self->program.pool);
    OK(vkscan_recording_continue(recording, again, number, 16));
    barrier(&self->program, again, behind, host_read);
    end_commands(&self->program, again);

    execute(&self->program, commands);
    for (turns = 0; turns < 1000; turns++) {
        OK(vkscan_read_hits(hits.mapped, words, room, &state, NULL, matches, room, &count));
        if (state != VKSCAN_RECORDED_STATE_GOES_ON) {
            break;
        }
        execute(&self->program, again);
    }
    CHECK(turns > 0 && state == VKSCAN_RECORDED_STATE_COMPLETE && count == room);
    CHECK(matches[room - 1].start == room - 1 && matches[room - 1].end == room);
    vkscan_recording_free(recording);
    OK(vkscan_session_free(session));
    free_buffer(&self->program, &haystack);
    free_buffer(&self->program, &hits);
    free(matches);
}

static void refused(setting *self)
{
    vkscan_recording *recording, *other;
    vkscan_recording_options options;
    vkscan_record_options scan = usual(self);
    vkscan_raw_scope scope;
    vkscan_recorded_state state;
    vkscan_match match;
    void *commands = begin_commands(&self->program, self->program.pool);
    uint32_t words[WORDS] = {0};
    size_t count;

#define REFUSED(status, field, value, words)                                              \
    do {                                                                                  \
        vkscan_record_options wrong = scan;                                               \
        wrong.field = value;                                                              \
        EXPECT(status, vkscan_recording_record(recording, commands, &wrong, NULL), words); \
    } while (0)

    OK(vkscan_recording_options_init(&options, sizeof options));
    options.struct_size = 8;
    INVALID(vkscan_session_recording(self->session, &options, &recording), "`struct_size` of 8");
    options.struct_size = sizeof options;
    options.recordings = 0;
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_session_recording(self->session, &options, &recording), "recordings");
    CHECK(recording == NULL);
    options.recordings = 1;
    options.copied_bytes = (1 << 12) + 1;
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE, vkscan_session_recording(self->session, &options, &recording), NULL);
    options.copied_bytes = 0;
    INVALID(vkscan_session_recording(NULL, &options, &other), "`session` is null");
    INVALID(vkscan_session_recording(self->session, &options, NULL), "`recording` is null");
    INVALID(vkscan_recording_options_init(NULL, sizeof options), "`options` is null");
    INVALID(vkscan_record_options_init(&scan, 4), "`struct_size` of 4");
    OK(vkscan_session_recording(self->session, &options, &recording));

    INVALID(vkscan_recording_record(NULL, commands, &scan, NULL), "`recording` is null");
    INVALID(vkscan_recording_record(recording, commands, NULL, NULL), "`options` is null");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_recording_record(recording, NULL, &scan, NULL), "null");
    REFUSED(VKSCAN_STATUS_INVALID_ARGUMENT, struct_size, sizeof scan - 8, "`struct_size`");
    REFUSED(VKSCAN_STATUS_INVALID_ARGUMENT, haystack.reserved, 1, "`haystack.reserved`");
    REFUSED(VKSCAN_STATUS_INVALID_ARGUMENT, length.reserved, 1, "`length.reserved`");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, haystack.buffer, 0, "haystack's buffer cannot be used: it is null");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, hits.buffer, 0, "buffer for hits cannot be used: it is null");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, length.size, 8, "length's buffer cannot be used");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, length, self->hits.raw, "TRANSFER_SRC");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, haystack_len, 0, "nothing to record");
    REFUSED(VKSCAN_STATUS_HAYSTACK_TOO_LARGE, haystack_len, UINT64_MAX, "the session takes");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, haystack_offset, 1000, "are asked for");
    REFUSED(VKSCAN_STATUS_LIMIT_EXCEEDED, haystack_offset, 1, "copied_bytes");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, haystack.usage, 0, "TRANSFER_SRC");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, hits, self->length.raw, "STORAGE_BUFFER");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, max_matches, ROOM + 1, "are asked for");
    REFUSED(VKSCAN_STATUS_INVALID_HANDLE, rounds, 0, "rounds");
    if (self->alignment > 4) {
        REFUSED(VKSCAN_STATUS_INVALID_HANDLE, hits_offset, 4, "multiple");
    }
    OK(vkscan_recording_record(recording, commands, &scan, NULL));
    EXPECT(VKSCAN_STATUS_LIMIT_EXCEEDED, vkscan_recording_record(recording, commands, &scan, NULL), "recordings");
    end_commands(&self->program, commands);

    INVALID(vkscan_recording_continue(NULL, commands, 0, 1), "`recording` is null");
    INVALID(vkscan_recording_clear(NULL), "`recording` is null");
    INVALID(vkscan_recording_required_barriers(NULL, &scope, &scope), "`recording` is null");
    INVALID(vkscan_recording_required_barriers(recording, &scope, NULL), "`behind` is null");
    INVALID(vkscan_read_hits(NULL, 1, 1, &state, NULL, &match, 1, &count), "`words` is null");
    INVALID(vkscan_read_hits(words, WORDS, ROOM, NULL, NULL, &match, 1, &count), "`state` is null");
    INVALID(vkscan_read_hits(words, WORDS, ROOM, &state, NULL, &match, 1, NULL), "`count` is null");
    OK(vkscan_read_hits(NULL, 0, ROOM, &state, NULL, NULL, 0, &count));
    CHECK(state == VKSCAN_RECORDED_STATE_NOT_RUN && count == 0);
    words[0] = 2;
    words[WORDS - 2] = VKSCAN_RECORDED_STATE_COMPLETE;
    EXPECT(VKSCAN_STATUS_BUFFER_TOO_SMALL,
           vkscan_read_hits(words, WORDS, ROOM, &state, NULL, &match, 1, &count), "there are 2 matches");
    CHECK(state == VKSCAN_RECORDED_STATE_COMPLETE && count == 2);

    /* What is recorded keeps its session. */
    EXPECT(VKSCAN_STATUS_STILL_IN_USE, vkscan_session_free(self->session), "recordings of the session are left");
    vkscan_recording_free(recording);
    vkscan_recording_free(NULL);
}

typedef struct {
    setting *setting;
    vkscan_recording *recording;
    uint64_t pool, number;
    void *commands;
} worker;

static void *work(void *argument)
{
    worker *self = argument;
    vkscan_record_options scan = usual(self->setting);
    self->pool = make_pool(&self->setting->program);
    self->commands = begin_commands(&self->setting->program, self->pool);
    OK(vkscan_recording_record(self->recording, self->commands, &scan, &self->number));
    barrier(&self->setting->program, self->commands, (vkscan_raw_scope){0x10000, 0x10000}, host_read);
    end_commands(&self->setting->program, self->commands);
    return NULL;
}

/* Threads that record at the same time wait for one another. */
static void shared(setting *self)
{
    vkscan_recording *recording;
    pthread_t handles[THREADS];
    worker workers[THREADS];
    uint64_t sum = 0;
    size_t i;
    OK(vkscan_session_recording(self->session, NULL, &recording));
    for (i = 0; i < THREADS; i++) {
        workers[i] = (worker){.setting = self, .recording = recording};
        CHECK(pthread_create(&handles[i], NULL, work, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(handles[i], NULL) == 0);
        memset(self->hits.mapped, 0, (size_t)self->hits.raw.size);
        execute(&self->program, workers[i].commands);
        check_words(words_of(self));
        free_pool(&self->program, workers[i].pool);
        sum += workers[i].number;
    }
    CHECK(sum == 3);
    vkscan_recording_free(recording);
}

void recordings(const vkscan_backend *owner)
{
    setting self = begin(owner);
    executed(&self);
    goes_on(&self);
    shared(&self);
    refused(&self);
    end(&self);
}
