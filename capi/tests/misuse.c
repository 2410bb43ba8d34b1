/*
 * What C programs do wrong, and what they may do in any order: each wrong call is refused with a status and a text that
 * names the fault, and nothing is left behind. Compiled with sanitizers and run by c_program.rs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkscan.h>

#include "misuse.h"

void fail_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s; last error: %s\n", file, line, what, vkscan_last_error());
    exit(1);
}

void expect_at(const char *file, int line, vkscan_status wanted, vkscan_status got, const char *words)
{
    if (got != wanted) {
        fprintf(stderr, "%s:%d: %s (%d) wanted, and %s (%d) came: %s\n", file, line, vkscan_status_message(wanted),
                (int)wanted, vkscan_status_message(got), (int)got, vkscan_last_error());
        exit(1);
    }
    if (words != NULL && strstr(vkscan_last_error(), words) == NULL) {
        fprintf(stderr, "%s:%d: \"%s\" is not in: %s\n", file, line, words, vkscan_last_error());
        exit(1);
    }
}

static vkscan_pattern pattern(const char *text)
{
    vkscan_pattern made = {text, strlen(text)};
    return made;
}

vkscan_rules *compile(void)
{
    vkscan_pattern patterns[2];
    vkscan_rules *rules;
    patterns[0] = pattern("\\bAKIA[0-9A-Z]{16}\\b");
    patterns[1] = pattern("(?i)password\\s*=\\s*\\S+");
    OK(vkscan_rules_compile(patterns, 2, NULL, &rules, NULL));
    return rules;
}

vkscan_session *prepare(const vkscan_backend *backend, size_t capacity, size_t max_matches)
{
    vkscan_rules *rules = compile();
    vkscan_session_options options;
    vkscan_session *session;
    OK(vkscan_session_options_init(&options, sizeof options));
    options.haystack_capacity_bytes = capacity;
    options.max_matches = max_matches;
    OK(vkscan_session_prepare(backend, rules, &options, &session));
    vkscan_rules_free(rules);
    return session;
}

vkscan_backend *open_backend(void)
{
    vkscan_backend *backend;
    OK(vkscan_backend_open(NULL, &backend));
    return backend;
}

void check_matches(const vkscan_match *matches, size_t count)
{
    CHECK(count == 2);
    CHECK(matches[0].pattern_id == 0 && matches[0].start == 38 && matches[0].end == 58);
    CHECK(matches[1].pattern_id == 1 && matches[1].start == 13 && matches[1].end == 31);
}

void scan(const vkscan_session *session)
{
    vkscan_match matches[10];
    size_t count = 99;
    OK(SCAN(session, IN_MEMORY(BYTES, TEXT_LEN), matches, 10, &count));
    check_matches(matches, count);
}

/* Null handles and pointers, everywhere. */
static void nulls(const vkscan_backend *backend, const vkscan_session *session, const vkscan_rules *rules)
{
    vkscan_match match;
    vkscan_device_info info = {.struct_size = sizeof info};
    vkscan_memory_use one = {.struct_size = sizeof one};
    vkscan_memory_heap heap = {.struct_size = sizeof heap};
    vkscan_raw_handles handles = {.struct_size = sizeof handles};
    vkscan_features features = {.struct_size = sizeof features};
    vkscan_session_options options;
    vkscan_ticket *ticket;
    vkscan_staged_haystack *staged;
    vkscan_resident_haystack *resident;
    vkscan_backend *anew;
    vkscan_session *made;
    vkscan_rules *read;
    vkscan_validation_log *log;
    vkscan_capture *capture;
    vkscan_memory_report *report;
    vkscan_required_features *required;
    const char *path;
    uint8_t *data;
    uint32_t number;
    uint64_t bytes;
    size_t count;

    INVALID(vkscan_backend_options_init(NULL, sizeof(vkscan_backend_options)), "`options` is null");
    INVALID(vkscan_pipeline_options_init(NULL, sizeof(vkscan_pipeline_options)), "`options` is null");
    INVALID(vkscan_session_options_init(NULL, sizeof(vkscan_session_options)), "`options` is null");
    INVALID(vkscan_raw_device_init(NULL, sizeof(vkscan_raw_device)), "null");

    INVALID(vkscan_devices(NULL, NULL), "`list` is null");
    INVALID(vkscan_device_list_get(NULL, 0, &info), "`list` is null");
    CHECK(vkscan_device_list_count(NULL) == 0);
    INVALID(vkscan_backend_open(NULL, NULL), "`backend` is null");
    INVALID(vkscan_backend_reopen(NULL, &anew), "`backend` is null");
    INVALID(vkscan_backend_reopen(backend, NULL), "`anew` is null");
    INVALID(vkscan_backend_device_info(NULL, &info), "`backend` is null");
    INVALID(vkscan_backend_device_info(backend, NULL), "`info` is null");
    CHECK(!vkscan_backend_is_lost(NULL) && vkscan_backend_allocated_bytes(NULL) == 0);
    INVALID(vkscan_backend_held_back(backend, NULL, &count), "`bytes` is null");
    INVALID(vkscan_backend_held_back(NULL, &bytes, &count), "`backend` is null");
    INVALID(vkscan_backend_validation_log(NULL, &log), "`backend` is null");
    INVALID(vkscan_backend_validation_log(backend, NULL), "`log` is null");
    CHECK(vkscan_validation_log_count(NULL) == 0 && vkscan_validation_log_message(NULL, 0) == NULL);
    INVALID(vkscan_backend_capture(NULL, "captures", &capture), "`backend` is null");
    INVALID(vkscan_backend_capture(backend, NULL, &capture), "`directory` is null");
    INVALID(vkscan_backend_capture(backend, "captures", NULL), "`capture` is null");
    EXPECT(VKSCAN_STATUS_INVALID_UTF8, vkscan_backend_capture(backend, "\xff", &capture), "`directory`");
    EXPECT(VKSCAN_STATUS_RENDER_DOC_MISSING, vkscan_backend_capture(backend, "captures", &capture),
           "ENABLE_VULKAN_RENDERDOC_CAPTURE");
    CHECK(capture == NULL);
    INVALID(vkscan_capture_end(NULL, &path), "`capture` is null");
    INVALID(vkscan_backend_memory_report(NULL, &report), "`backend` is null");
    INVALID(vkscan_backend_memory_report(backend, NULL), "`report` is null");
    INVALID(vkscan_memory_report_use(NULL, 0, &one), "`report` is null");
    INVALID(vkscan_memory_report_heap(NULL, 0, &heap), "`report` is null");
    CHECK(vkscan_memory_report_use_count(NULL) == 0 && vkscan_memory_report_heap_count(NULL) == 0);
    CHECK(vkscan_memory_report_block_bytes(NULL) == VKSCAN_UNKNOWN);

    INVALID(vkscan_backend_from_raw(NULL, &anew), "`raw` is null");
    INVALID(vkscan_backend_raw_handles(NULL, &handles), "`backend` is null");
    INVALID(vkscan_backend_raw_handles(backend, NULL), "`handles` is null");
    EXPECT(VKSCAN_STATUS_INVALID_HANDLE, vkscan_backend_required_features(NULL, NULL, NULL, &required),
           "get_instance_proc_addr");
    INVALID(vkscan_required_features_get(NULL, &number, &number, &features, &features), "`required` is null");

    INVALID(vkscan_rules_compile(NULL, 1, NULL, &read, NULL), "`patterns` is null");
    INVALID(vkscan_rules_compile(NULL, 0, NULL, NULL, NULL), "`rules` is null");
    INVALID(vkscan_rules_to_bytes(NULL, &data, &count), "`rules` is null");
    INVALID(vkscan_rules_to_bytes(rules, NULL, &count), "`bytes` is null");
    INVALID(vkscan_rules_to_bytes(rules, &data, NULL), "`len` is null");
    INVALID(vkscan_rules_from_bytes(NULL, 1, &read), "`bytes` is null");
    EXPECT(VKSCAN_STATUS_MALFORMED, vkscan_rules_from_bytes(NULL, 0, &read), "not a vkscan pipeline");
    CHECK(vkscan_rules_pattern_count(NULL) == 0);
    INVALID(vkscan_rules_reference_scan(NULL, BYTES, 1, 1, &match, 1, &count), "`rules` is null");
    INVALID(vkscan_rules_reference_scan(rules, NULL, 1, 1, &match, 1, &count), "`haystack` is null");
    INVALID(vkscan_rules_reference_scan(rules, BYTES, 1, 1, &match, 1, NULL), "`count` is null");

    OK(vkscan_session_options_init(&options, sizeof options));
    INVALID(vkscan_session_prepare(NULL, rules, &options, &made), "`backend` is null");
    made = (vkscan_session *)1;
    INVALID(vkscan_session_prepare(backend, NULL, &options, &made), "`rules` is null");
    CHECK(made == NULL);
    INVALID(vkscan_session_prepare(backend, rules, NULL, &made), "`options` is null");
    INVALID(vkscan_session_prepare(backend, rules, &options, NULL), "`session` is null");
    INVALID(SCAN(NULL, IN_MEMORY(BYTES, 1), &match, 1, &count), "`session` is null");
    INVALID(SCAN(session, IN_MEMORY(NULL, 1), &match, 1, &count), "`haystack.bytes` is null");
    INVALID(SCAN(session, IN_MEMORY(BYTES, 1), NULL, 1, &count), "`matches` is null");
    INVALID(SCAN(session, IN_MEMORY(BYTES, 1), &match, 1, NULL), "`count` is null");
    INVALID(SUBMIT(session, IN_MEMORY(NULL, 1), &ticket), "`haystack.bytes` is null");
    INVALID(SUBMIT(session, IN_MEMORY(BYTES, 1), NULL), "`ticket` is null");
    INVALID(SUBMIT(NULL, IN_MEMORY(BYTES, 1), &ticket), "`session` is null");
    INVALID(vkscan_ticket_wait(NULL, &match, 1, &count, NULL), "`ticket` is null");
    INVALID(vkscan_session_staging(NULL, 1, &staged), "`session` is null");
    INVALID(vkscan_session_staging(session, 1, NULL), "`staged` is null");
    INVALID(vkscan_staged_haystack_data(NULL, &data), "`staged` is null");
    INVALID(vkscan_staged_haystack_truncate(NULL, 0), "`staged` is null");
    INVALID(vkscan_resident_haystack_new(NULL, BYTES, 1, &resident), "`backend` is null");
    INVALID(vkscan_resident_haystack_new(backend, NULL, 1, &resident), "`haystack` is null");
    INVALID(vkscan_resident_haystack_new(backend, BYTES, 1, NULL), "`resident` is null");
    INVALID(vkscan_session_trim(NULL, NULL), "`session` is null");
    CHECK(vkscan_session_haystack_capacity(NULL) == 0 && vkscan_session_max_matches(NULL) == 0);
    CHECK(vkscan_session_scans_in_flight(NULL) == 0 && vkscan_session_table_bytes(NULL) == 0);
    INVALID(vkscan_scan_reader(session, NULL, NULL, NULL, 1, NULL, NULL), "`read` is null");

    vkscan_device_list_free(NULL);
    vkscan_backend_free(NULL);
    vkscan_validation_log_free(NULL);
    vkscan_capture_free(NULL);
    vkscan_memory_report_free(NULL);
    vkscan_required_features_free(NULL);
    vkscan_rules_free(NULL);
    vkscan_bytes_free(NULL, 0);
    OK(vkscan_session_free(NULL));
    vkscan_ticket_free(NULL);
    vkscan_staged_haystack_free(NULL);
    vkscan_resident_haystack_free(NULL);
}

/* Structs that are too short, not set, or newer than the library. */
static void sizes(const vkscan_backend *backend, const vkscan_session *session)
{
    struct {
        vkscan_backend_options options;
        uint64_t newer;
    } later = {.newer = 0};
    struct {
        vkscan_scan_stats stats;
        uint64_t newer;
    } filled = {.newer = 7};
    union {
        vkscan_match match;
        char bytes[2 * sizeof(vkscan_match)];
    } unaligned;
    vkscan_device_info info = {.struct_size = 0};
    vkscan_device_list *list;
    vkscan_match matches[10];
    size_t count;

    INVALID(vkscan_backend_device_info(backend, &info), "`info` has a `struct_size` of 0");
    info.struct_size = sizeof info - 1;
    INVALID(vkscan_backend_device_info(backend, &info), "set it to sizeof(vkscan_device_info)");
    info.struct_size = 0xCCCCCCCC;
    INVALID(vkscan_backend_device_info(backend, &info), "`struct_size`");
    INVALID(vkscan_backend_options_init(&later.options, 4), "`struct_size` of 4");

    OK(vkscan_backend_options_init(&later.options, sizeof later));
    CHECK(later.options.struct_size == sizeof later && later.options.wait_timeout_ms == 60000);
    OK(vkscan_devices(&later.options, &list));
    vkscan_device_list_free(list);
    later.newer = 1;
    INVALID(vkscan_devices(&later.options, &list), "does not know");
    later.newer = 0;
    later.options.struct_size = 0;
    INVALID(vkscan_devices(&later.options, &list), "`options` has a `struct_size` of 0");

    filled.stats.struct_size = sizeof filled;
    OK(vkscan_scan_haystack(session, IN_MEMORY(BYTES, TEXT_LEN), VKSCAN_UNBOUNDED, matches, 10, &count, &filled.stats));
    CHECK(filled.newer == 0 && filled.stats.struct_size == sizeof filled && filled.stats.submissions > 0);
    CHECK(filled.stats.bytes_up >= TEXT_LEN && filled.stats.wall_ns > 0);
    filled.stats.struct_size = 8;
    INVALID(vkscan_scan_haystack(session, IN_MEMORY(BYTES, TEXT_LEN), VKSCAN_UNBOUNDED, matches, 10, &count,
                                 &filled.stats),
            "`stats`");
    INVALID(SCAN(session, IN_MEMORY(BYTES, TEXT_LEN), (vkscan_match *)(void *)(unaligned.bytes + 1), 1, &count),
            "`matches` is not aligned");
}

/* Patterns that are no text or no regular expression, and choices that there are not. */
static void patterns(void)
{
    vkscan_pattern list[3];
    vkscan_pipeline_options options;
    vkscan_rules *rules;
    vkscan_match matches[3];
    uint8_t *bytes;
    size_t wrong = 99, len, count;

    list[0] = pattern("a+");
    list[1] = pattern("b\xff");
    list[2] = pattern("(");
    EXPECT(VKSCAN_STATUS_INVALID_UTF8, vkscan_rules_compile(list, 3, NULL, &rules, &wrong), "(?-u:\\xff)");
    CHECK(wrong == 1);
    list[1] = pattern("*");
    EXPECT(VKSCAN_STATUS_SYNTAX, vkscan_rules_compile(list, 3, NULL, &rules, &wrong), "pattern 2 does not parse");
    CHECK(wrong == 1 && strstr(vkscan_last_error(), "pattern 1 does not parse") != NULL);
    list[1].text = NULL;
    INVALID(vkscan_rules_compile(list, 3, NULL, &rules, NULL), "`patterns[1].text` is null");
    list[1].text = "b";
    list[1].len = SIZE_MAX;
    INVALID(vkscan_rules_compile(list, 3, NULL, &rules, NULL), "memory is not that large");
    INVALID(vkscan_rules_compile(list, SIZE_MAX / 2, NULL, &rules, NULL), "memory is not that large");
    OK(vkscan_rules_compile(NULL, 0, NULL, &rules, NULL));
    CHECK(vkscan_rules_pattern_count(rules) == 0);
    vkscan_rules_free(rules);

    OK(vkscan_pipeline_options_init(&options, sizeof options));
    options.match_kind = 2;
    INVALID(vkscan_rules_compile(list, 1, &options, &rules, NULL), "`match_kind` 2");
    options.match_kind = VKSCAN_MATCH_KIND_ALL;
    options.unicode = 77;
    INVALID(vkscan_rules_compile(list, 1, &options, &rules, NULL), "`unicode` 77");
    options.unicode = VKSCAN_UNICODE_POLICY_NEVER;
    options.reserved = 1;
    INVALID(vkscan_rules_compile(list, 1, &options, &rules, NULL), "`reserved`");
    options.reserved = 0;
    options.size_limit = 10;
    EXPECT(VKSCAN_STATUS_PATTERN_TOO_LARGE, vkscan_rules_compile(list, 1, &options, &rules, NULL), "size_limit");
    options.size_limit = 1 << 20;
    options.case_insensitive = 1;
    OK(vkscan_rules_compile(list, 1, &options, &rules, NULL));

    OK(vkscan_rules_to_bytes(rules, &bytes, &len));
    vkscan_rules_free(rules);
    EXPECT(VKSCAN_STATUS_MALFORMED, vkscan_rules_from_bytes(bytes, len - 1, &rules), "compile the rules again");
    OK(vkscan_rules_from_bytes(bytes, len, &rules));
    vkscan_bytes_free(bytes, len);
    CHECK(vkscan_rules_pattern_count(rules) == 1);
    EXPECT(VKSCAN_STATUS_BUFFER_TOO_SMALL,
           vkscan_rules_reference_scan(rules, (const uint8_t *)"aA", 2, VKSCAN_UNBOUNDED, matches, 2, &count),
           "there are 3 matches and `matches` has room for 2");
    CHECK(count == 3);
    OK(vkscan_rules_reference_scan(rules, (const uint8_t *)"aA", 2, 1, matches, 2, &count));
    CHECK(count == 2 && matches[1].start == 1 && matches[1].end == 2);
    vkscan_rules_free(rules);
}

/* Options of a backend that cannot be. */
static void backends(void)
{
    vkscan_backend_options options;
    vkscan_backend *backend;
    vkscan_device_list *list;
    vkscan_device_info info = {.struct_size = sizeof info};
    vkscan_session_options session_options;
    vkscan_session *session;
    vkscan_rules *rules = compile();
    size_t i, preferred = 0;

    OK(vkscan_backend_options_init(&options, sizeof options));
    options.device = "no such device";
    EXPECT(VKSCAN_STATUS_DEVICE_NOT_FOUND, vkscan_backend_open(&options, &backend), "no such device");
    options.device = "\xff";
    EXPECT(VKSCAN_STATUS_INVALID_UTF8, vkscan_backend_open(&options, &backend), "`device`");
    options.device = NULL;
    options.validation = 9;
    INVALID(vkscan_backend_open(&options, &backend), "`validation` 9");
    options.validation = VKSCAN_VALIDATION_FROM_ENVIRONMENT;
    options.loader_path = "/no/such/loader.so";
    EXPECT(VKSCAN_STATUS_LOADER_MISSING, vkscan_backend_open(&options, &backend), "loader");
    options.loader_path = NULL;

    OK(vkscan_devices(NULL, &list));
    for (i = 0; i < vkscan_device_list_count(list); i++) {
        OK(vkscan_device_list_get(list, i, &info));
        CHECK(info.index == i && strlen(info.name) > 0 && info.kind <= VKSCAN_DEVICE_KIND_OTHER);
        preferred += info.preference != NULL;
    }
    CHECK(preferred == 1);
    INVALID(vkscan_device_list_get(list, i, &info), "there are");
    vkscan_device_list_free(list);

    options.wait_timeout_ms = UINT64_MAX;
    OK(vkscan_backend_open(&options, &backend));
    session = prepare(backend, 1 << 16, 10);
    scan(session);
    OK(vkscan_session_free(session));
    vkscan_backend_free(backend);

    options.memory_limit = 1;
    OK(vkscan_backend_open(&options, &backend));
    OK(vkscan_session_options_init(&session_options, sizeof session_options));
    session_options.haystack_capacity_bytes = 1 << 16;
    session_options.max_matches = 10;
    EXPECT(VKSCAN_STATUS_LIMIT_EXCEEDED, vkscan_session_prepare(backend, rules, &session_options, &session),
           "limit is 1");
    CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    session_options.haystack_capacity_bytes = SIZE_MAX;
    EXPECT(VKSCAN_STATUS_LIMIT_EXCEEDED, vkscan_session_prepare(backend, rules, &session_options, &session),
           "haystack capacity");
    OK(vkscan_session_options_init(&session_options, sizeof session_options));
    session_options.haystack_capacity_bytes = 100;
    session_options.max_matches = 10;
    session_options.tuning_profile = "no such profile";
    EXPECT(VKSCAN_STATUS_TUNING, vkscan_session_prepare(backend, rules, &session_options, &session),
           "the tuning profile: ");
    session_options.tuning_profile = "\xff";
    EXPECT(VKSCAN_STATUS_INVALID_UTF8, vkscan_session_prepare(backend, rules, &session_options, &session),
           "`tuning_profile` is not UTF-8");
    vkscan_rules_free(rules);
    vkscan_backend_free(backend);
}

/* Haystacks that do not fit, and matches that do not. */
static void scans(const vkscan_backend *backend)
{
    vkscan_session *session = prepare(backend, TEXT_LEN, 2), *tight = prepare(backend, TEXT_LEN, 1);
    vkscan_match matches[2];
    vkscan_ticket *ticket;
    vkscan_resident_haystack *resident;
    vkscan_staged_haystack *staged;
    size_t count;

    memset(matches, 0xAB, sizeof matches);
    EXPECT(VKSCAN_STATUS_BUFFER_TOO_SMALL,
           SCAN(session, IN_MEMORY(BYTES, TEXT_LEN), matches, 1, &count), "there are 2 matches");
    CHECK(count == 2 && matches[0].pattern_id == 0xABABABAB);
    EXPECT(VKSCAN_STATUS_BUFFER_TOO_SMALL, SCAN(session, IN_MEMORY(BYTES, TEXT_LEN), NULL, 0, &count), "room for 0");
    EXPECT(VKSCAN_STATUS_TOO_MANY_MATCHES,
           SCAN(tight, IN_MEMORY(BYTES, TEXT_LEN), matches, 2, &count), "the session holds 1");
    CHECK(count == 2 && matches[1].pattern_id == 0xABABABAB);
    INVALID(SCAN(session, IN_MEMORY(BYTES, TEXT_LEN), matches, SIZE_MAX, &count), "not that large");
    INVALID(SCAN(session, IN_MEMORY(BYTES, SIZE_MAX), matches, 2, &count), "not that large");
    OK(SCAN(session, IN_MEMORY(NULL, 0), NULL, 0, &count));
    CHECK(count == 0);
    OK(vkscan_scan_haystack(session, IN_MEMORY(BYTES, TEXT_LEN), 11, matches, 2, &count, NULL));
    CHECK(count == 0);

    /* What is longer than 32 bits hold is looked at by its length alone. */
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
           SCAN(session, IN_MEMORY(BYTES, TEXT_LEN + 1), matches, 2, &count), "the session takes");
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
           SCAN(session, IN_MEMORY(BYTES, (size_t)5 << 30), matches, 2, &count), "5368709120");
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE, SUBMIT(session, IN_MEMORY(BYTES, (size_t)5 << 30), &ticket), "5368709120");
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE,
           vkscan_resident_haystack_new(backend, BYTES, (size_t)5 << 30, &resident), "5368709120");
    EXPECT(VKSCAN_STATUS_HAYSTACK_TOO_LARGE, vkscan_session_staging(session, TEXT_LEN + 1, &staged),
           "the session takes");

    /* A failed ticket says so again, and one with too small an array keeps its matches. */
    OK(SUBMIT(tight, IN_MEMORY(BYTES, TEXT_LEN), &ticket));
    EXPECT(VKSCAN_STATUS_TOO_MANY_MATCHES, vkscan_ticket_wait(ticket, matches, 2, &count, NULL), "the session holds 1");
    CHECK(count == 2);
    INVALID(vkscan_ticket_wait(ticket, matches, 2, &count, NULL), "submit again");
    vkscan_ticket_free(ticket);
    OK(SUBMIT(session, IN_MEMORY(BYTES, TEXT_LEN), &ticket));
    EXPECT(VKSCAN_STATUS_BUFFER_TOO_SMALL, vkscan_ticket_wait(ticket, NULL, 0, &count, NULL), "there are 2");
    OK(vkscan_ticket_wait(ticket, matches, 2, &count, NULL));
    check_matches(matches, count);
    vkscan_ticket_free(ticket);

    scan(session);
    OK(vkscan_session_free(session));
    OK(vkscan_session_free(tight));
}

/* Staging memory and haystacks on the device, also while they are scanned. */
static void haystacks(const vkscan_backend *backend, const vkscan_backend *other)
{
    vkscan_session *session = prepare(backend, 1 << 16, 10);
    vkscan_staged_haystack *staged;
    vkscan_resident_haystack *resident, *foreign;
    vkscan_ticket *ticket;
    vkscan_match matches[10];
    uint8_t *data;
    uint64_t freed;
    size_t count;

    OK(vkscan_session_staging(session, 1 << 16, &staged));
    OK(vkscan_staged_haystack_data(staged, &data));
    memcpy(data, TEXT, TEXT_LEN);
    OK(vkscan_staged_haystack_truncate(staged, TEXT_LEN));
    CHECK(vkscan_staged_haystack_len(staged) == TEXT_LEN);
    OK(SCAN(session, IN_STAGING(staged), matches, 10, &count));
    check_matches(matches, count);
    OK(SUBMIT(session, IN_STAGING(staged), &ticket));
    EXPECT(VKSCAN_STATUS_BUSY, vkscan_staged_haystack_data(staged, &data), "being scanned");
    EXPECT(VKSCAN_STATUS_BUSY, vkscan_staged_haystack_truncate(staged, 0), "being scanned");
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    check_matches(matches, count);
    OK(vkscan_staged_haystack_data(staged, &data));
    vkscan_ticket_free(ticket);
    OK(SUBMIT(session, IN_STAGING(staged), &ticket));
    vkscan_staged_haystack_free(staged);
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    check_matches(matches, count);
    vkscan_ticket_free(ticket);
    OK(vkscan_session_trim(session, &freed));
    CHECK(freed >= 1 << 16);
    OK(vkscan_session_trim(session, NULL));

    OK(vkscan_resident_haystack_new(backend, BYTES, TEXT_LEN, &resident));
    CHECK(vkscan_resident_haystack_len(resident) == TEXT_LEN);
    OK(SCAN(session, ON_DEVICE(resident), matches, 10, &count));
    check_matches(matches, count);
    OK(SUBMIT(session, ON_DEVICE(resident), &ticket));
    vkscan_resident_haystack_free(resident);
    OK(vkscan_ticket_wait(ticket, matches, 10, &count, NULL));
    check_matches(matches, count);
    vkscan_ticket_free(ticket);

    OK(vkscan_resident_haystack_new(other, BYTES, TEXT_LEN, &foreign));
    EXPECT(VKSCAN_STATUS_WRONG_BACKEND, SCAN(session, ON_DEVICE(foreign), matches, 10, &count), "another backend");
    EXPECT(VKSCAN_STATUS_WRONG_BACKEND, SUBMIT(session, ON_DEVICE(foreign), &ticket), NULL);
    vkscan_resident_haystack_free(foreign);
    OK(vkscan_session_free(session));
}

/* Owners go before what they own. */
static void orders(void)
{
    int order;

    for (order = 0; order < 4; order++) {
        vkscan_backend *backend = open_backend();
        vkscan_session *session = prepare(backend, 1 << 16, 10);
        vkscan_validation_log *log;
        vkscan_ticket *waited, *dropped;
        vkscan_staged_haystack *staged;
        vkscan_resident_haystack *resident;
        vkscan_match matches[10];
        uint8_t *data;
        size_t count;

        OK(vkscan_backend_validation_log(backend, &log));
        OK(vkscan_session_staging(session, TEXT_LEN, &staged));
        OK(vkscan_staged_haystack_data(staged, &data));
        memcpy(data, TEXT, TEXT_LEN);
        OK(vkscan_resident_haystack_new(backend, BYTES, TEXT_LEN, &resident));
        OK(SUBMIT(session, IN_STAGING(staged), &waited));
        OK(SUBMIT(session, ON_DEVICE(resident), &dropped));
        if (order % 2 == 0) {
            vkscan_backend_free(backend);
        }
        if (order % 3 == 0) {
            vkscan_staged_haystack_free(staged);
            vkscan_ticket_free(dropped);
        }
        if (order > 1) {
            vkscan_resident_haystack_free(resident);
        }
        EXPECT(VKSCAN_STATUS_STILL_IN_USE, vkscan_session_free(session), "freed with the last of them");
        OK(vkscan_ticket_wait(waited, matches, 10, &count, NULL));
        check_matches(matches, count);
        vkscan_ticket_free(waited);
        if (order % 3 != 0) {
            vkscan_ticket_free(dropped);
            vkscan_staged_haystack_free(staged);
        }
        if (order <= 1) {
            vkscan_resident_haystack_free(resident);
        }
        if (order % 2 != 0) {
            CHECK(vkscan_backend_allocated_bytes(backend) == 0);
            vkscan_backend_free(backend);
        }
        CHECK(vkscan_validation_log_count(log) == 0);
        CHECK(vkscan_validation_log_message(log, 0) == NULL);
        vkscan_validation_log_free(log);
    }
}

/* A stream, given in pieces. */
typedef struct {
    size_t at;
    ptrdiff_t last;
    size_t matches;
    int waits;
} stream;

static ptrdiff_t read_piece(void *user_data, uint8_t *buffer, size_t capacity)
{
    stream *from = user_data;
    size_t len = TEXT_LEN - from->at;
    if (from->waits > 0 && from->at > 0) {
        from->waits--;
        return VKSCAN_READ_NOTHING_YET;
    }
    if (len == 0) {
        return from->last;
    }
    len = len < 7 ? len : 7;
    len = len < capacity ? len : capacity;
    memcpy(buffer, TEXT + from->at, len);
    from->at += len;
    return (ptrdiff_t)len;
}

static void count_match(void *user_data, const vkscan_stream_match *found, const uint8_t *bytes)
{
    stream *from = user_data;
    CHECK(memcmp(bytes, TEXT + found->start, found->end - found->start) == 0);
    from->matches++;
}

static void streams(const vkscan_backend *backend)
{
    vkscan_session *session = prepare(backend, 32, 10), *tiny = prepare(backend, 4, 10);
    vkscan_scan_stats stats = {.struct_size = sizeof stats};
    stream from = {.waits = 1};
    uint64_t scanned;

    OK(vkscan_scan_reader(session, read_piece, count_match, &from, VKSCAN_UNBOUNDED, &scanned, &stats));
    CHECK(from.matches == 2 && scanned == TEXT_LEN && stats.submissions > 0);
    from = (stream){.last = VKSCAN_READ_FAILED};
    EXPECT(VKSCAN_STATUS_READ,
           vkscan_scan_reader(session, read_piece, count_match, &from, VKSCAN_UNBOUNDED, &scanned, NULL),
           "returned -1");
    CHECK(from.matches == 2 && scanned <= TEXT_LEN);
    from = (stream){.last = 1 << 20};
    EXPECT(VKSCAN_STATUS_READ,
           vkscan_scan_reader(session, read_piece, count_match, &from, VKSCAN_UNBOUNDED, NULL, NULL), "more than");
    from = (stream){.waits = 2};
    EXPECT(VKSCAN_STATUS_READ,
           vkscan_scan_reader(session, read_piece, count_match, &from, VKSCAN_UNBOUNDED, NULL, NULL), "nothing yet");
    from = (stream){.last = 0};
    EXPECT(VKSCAN_STATUS_WINDOW_TOO_SMALL,
           vkscan_scan_reader(tiny, read_piece, count_match, &from, VKSCAN_UNBOUNDED, NULL, NULL), "windows");
    OK(vkscan_session_free(session));
    OK(vkscan_session_free(tiny));
}

static void reports(const vkscan_backend *backend)
{
    vkscan_session *session = prepare(backend, 1 << 16, 10);
    vkscan_memory_report *report;
    vkscan_memory_use one = {.struct_size = sizeof one};
    vkscan_memory_heap heap = {.struct_size = sizeof heap};
    uint64_t sum = 0, bytes = 9;
    size_t i, objects = 9;

    OK(vkscan_backend_memory_report(backend, &report));
    for (i = 0; i < vkscan_memory_report_use_count(report); i++) {
        OK(vkscan_memory_report_use(report, i, &one));
        CHECK(one.buffers > 0 && strlen(one.purpose) > 0);
        sum += one.bytes;
    }
    INVALID(vkscan_memory_report_use(report, i, &one), "uses");
    CHECK(sum == vkscan_backend_allocated_bytes(backend) && sum > 0);
    CHECK(vkscan_memory_report_heap_count(report) > 0);
    OK(vkscan_memory_report_heap(report, 0, &heap));
    CHECK(heap.size > 0 && vkscan_memory_report_block_bytes(report) >= sum);
    vkscan_memory_report_free(report);
    OK(vkscan_session_free(session));
    OK(vkscan_backend_held_back(backend, &bytes, &objects));
    CHECK(bytes == 0 && objects == 0 && vkscan_backend_allocated_bytes(backend) == 0);
}

static void rounds(const vkscan_backend *backend)
{
    int round;
    for (round = 0; round < 300; round++) {
        vkscan_session *session = prepare(backend, 1 << 12, 10);
        scan(session);
        OK(vkscan_session_free(session));
        CHECK(vkscan_backend_allocated_bytes(backend) == 0);
    }
}

/* Stays open: so the loader unloads neither driver nor layers, and what these keep for themselves is no leak. */
static vkscan_backend *keeper;

int main(void)
{
    vkscan_backend *backend = open_backend(), *other;
    vkscan_validation_log *log;
    vkscan_session *session = prepare(backend, 1 << 16, 10);
    vkscan_rules *rules = compile();
    size_t i;

    keeper = open_backend();
    CHECK(strcmp(vkscan_last_error(), "") == 0 && vkscan_abi_version() == VKSCAN_ABI_VERSION);
    CHECK(strcmp(vkscan_status_message(12345), "not a status of vkscan") == 0);
    OK(vkscan_backend_validation_log(backend, &log));
    OK(vkscan_backend_reopen(backend, &other));
    CHECK(!vkscan_backend_is_lost(backend));

    nulls(backend, session, rules);
    sizes(backend, session);
    CHECK(vkscan_session_haystack_capacity(session) == 1 << 16 && vkscan_session_max_matches(session) == 10);
    CHECK(vkscan_session_scans_in_flight(session) == 4 && vkscan_session_table_bytes(session) > 0);
    OK(vkscan_session_free(session));
    vkscan_rules_free(rules);
    patterns();
    backends();
    scans(backend);
    haystacks(backend, other);
    rings(backend, other);
    vkscan_backend_free(other);
    orders();
    streams(backend);
    reports(backend);
    raw_devices(backend);
    recordings(backend);
    semaphores(backend);
    imports(backend);
    externals(backend);
    plans(backend);
    threads(backend);
    rounds(backend);

    vkscan_backend_free(backend);
    for (i = 0; i < vkscan_validation_log_count(log); i++) {
        fprintf(stderr, "%s\n", vkscan_validation_log_message(log, i));
    }
    CHECK(i == 0);
    vkscan_validation_log_free(log);
    puts("all is refused that is wrong, and nothing is left");
    return 0;
}
